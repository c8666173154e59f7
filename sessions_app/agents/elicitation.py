"""The questions of MCP servers, as prompts to people, and their answers. `mcp` imports it.

Requests and answers are JSON in the form of the protocol.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import structlog
from pydantic import ValidationError
from pydantic_core import to_jsonable_python

from sessions_app.agents.tools import cut
from sessions_app.json_types import JsonObject
from sessions_app.prompts import acheck_schema
from sessions_app.workflows import (
    BinaryPrompt,
    Context,
    FormPrompt,
    LinkPrompt,
    Option,
    PromptExpired,
)

log = structlog.get_logger(__name__)

MAX_MESSAGE = 4_000
ACCEPT, DECLINE, CANCEL = ({"action": action} for action in ("accept", "decline", "cancel"))
# All that a server may say of a field; a pattern, of which some take for ever, is not among it.
OF_A_FIELD = {
    *("type", "title", "description", "default", "format", "minLength", "maxLength"),
    *("minimum", "maximum", "enum", "enumNames", "const", "oneOf", "anyOf"),
    *("items", "minItems", "maxItems"),
}
# What differs where a call that is made again asks the same.
OF_ONE_CALL = {"elicitationId", "_meta"}


class Answers:
    """The answers that people have given to the questions of a call, in the order of asking.

    When the call begins anew, its questions are answered by them: the same question by the same
    answer, and if it is asked twice, by the second one.
    """

    def __init__(self, answers: Sequence[Sequence[Any]]) -> None:
        self._left = [(request, answer) for request, answer in answers]

    def take(self, request: JsonObject) -> JsonObject | None:
        """Return the next answer to a question; None if people have not been asked it."""
        for number, (asked, answer) in enumerate(self._left):
            if _is_same(asked, request):
                del self._left[number]
                return dict(answer)
        return None


def _is_same(asked: JsonObject, request: JsonObject) -> bool:
    """Return whether a question is the same, but for what differs from call to call."""
    names = (asked.keys() | request.keys()) - OF_ONE_CALL
    return all(asked.get(name) == request.get(name) for name in names)


async def ask(
    context: Context, server: str, request: JsonObject, note: str, options: Mapping[str, Any]
) -> JsonObject:
    """Ask people what a server wants to know, and return the answer.

    Args:
        note: a sentence of our own behind the server's.
        options: as of `Context.ask`, with its `timeout`.
    """
    asking = {name: value for name, value in options.items() if name != "timeout"}
    message = cut(str(request.get("message", "")), MAX_MESSAGE)
    text = "\n".join(filter(None, [f"{server} asks:", message, note]))
    try:
        prompt = await _prompt(request, {"text": text, "timeout": options.get("timeout")})
    except (TypeError, ValueError, ValidationError) as error:
        log.warning("mcp.question_not_asked", server=server, problem=str(error))
        return DECLINE
    try:
        answer = await context.ask(prompt, **asking)
    except PromptExpired:
        return CANCEL
    if isinstance(prompt, FormPrompt):
        if not answer.approved:
            return DECLINE
        return {**ACCEPT, "content": to_jsonable_python(answer.value)}
    return ACCEPT if answer.value in ("accept", "done") else DECLINE


async def _prompt(request: JsonObject, options: JsonObject) -> Any:
    if request.get("mode") == "url":
        return LinkPrompt(url=request["url"], **options)
    schema = _known(request["requestedSchema"])
    if not schema["properties"]:
        accept = Option(value="accept", label="Accept")
        return BinaryPrompt(options=[accept, Option(value="decline", label="Decline")], **options)
    if problem := await acheck_schema(schema):
        raise ValueError(problem)
    return FormPrompt(schema, submit="Send", reject="Decline", **options)


def _known(schema: JsonObject) -> JsonObject:
    """Return a schema with what the protocol knows."""
    return {
        "type": "object",
        "properties": {name: _field(one) for name, one in schema.get("properties", {}).items()},
        "required": schema.get("required") or [],
    }


def _field(schema: JsonObject) -> JsonObject:
    kept = {name: value for name, value in schema.items() if name in OF_A_FIELD}
    return {**kept, "items": _field(kept["items"])} if "items" in kept else kept

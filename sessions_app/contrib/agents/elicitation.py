"""The questions of MCP servers as prompts to people, and their answers; used by `mcp`.

Requests and answers are JSON as MCP defines it.
"""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import AliasChoices, BaseModel, Field, JsonValue, TypeAdapter
from pydantic_core import to_jsonable_python

from sessions_app.contrib.agents.tools import cut
from sessions_app.errors import TooLarge
from sessions_app.json_types import JsonObject
from sessions_app.logs import Log
from sessions_app.prompts import acheck_schema
from sessions_app.workflows import (
    BinaryPrompt,
    Context,
    FormPrompt,
    LinkPrompt,
    Option,
    PromptExpired,
)

log = Log(__name__)

MAX_MESSAGE = 4_000
# Limits of a question's schema: the number of subschemas after resolving references, and the depth.
MAX_PARTS, MAX_DEPTH = 1_000, 8
ACCEPT, DECLINE, CANCEL = ({"action": action} for action in ("accept", "decline", "cancel"))
# Keywords that MCP allows in the schema of a field; others are removed.
OF_A_FIELD = {
    *("type", "title", "description", "default", "format", "minLength", "maxLength"),
    *("minimum", "maximum", "enum", "enumNames", "const", "oneOf", "anyOf"),
    *("items", "minItems", "maxItems"),
}


async def ask(
    context: Context, server: str, request: JsonObject, note: str, options: Mapping[str, Any]
) -> JsonObject:
    """Ask people a server's question, and return the answer.

    A question that cannot be shown is cancelled without asking.

    Args:
        note: an additional sentence after the server's text.
        options: as for `Context.ask`, with its `timeout`.
    """
    asking = {name: value for name, value in options.items() if name != "timeout"}
    try:
        question = _QUESTION.validate_python(request)
        parts = [f"{server} asks:", cut(question.message, MAX_MESSAGE), note]
        text = "\n".join(filter(None, parts))
        prompt = await _prompt(question, {"text": text, "timeout": options.get("timeout")})
    except (TypeError, ValueError) as error:
        log.warning("mcp.question_not_asked", server=server, problem=str(error)[:MAX_MESSAGE])
        return CANCEL
    try:
        answer = await context.ask(prompt, **asking)
    except TooLarge as error:
        log.warning("mcp.question_not_asked", server=server, problem=str(error))
        return CANCEL
    except PromptExpired:
        return CANCEL
    if isinstance(prompt, FormPrompt):
        # Only an explicit approval is an acceptance; any other value is a refusal.
        if answer.approved is not True:
            return DECLINE
        return {**ACCEPT, "content": to_jsonable_python(answer.value)}
    return ACCEPT if answer.value in ("accept", "done") else DECLINE


class _Page(BaseModel):
    """A question that a person answers on another page, at `url`."""

    mode: Literal["url"]
    message: str
    url: str


class _RequestedSchema(BaseModel):
    """The JSON schema of the values that a server asks for, with definitions that fields share."""

    properties: dict[str, JsonObject] = {}
    required: list[str] | None = None
    defs: dict[str, JsonValue] = Field(
        default={}, validation_alias=AliasChoices("$defs", "definitions")
    )


class _Form(BaseModel):
    """A question that a person answers by values, or by mere consent if no values are asked for."""

    mode: Literal["form"] = "form"
    message: str
    requested_schema: _RequestedSchema = Field(validation_alias="requestedSchema")


_QUESTION: TypeAdapter[_Page | _Form] = TypeAdapter(_Page | _Form)


async def _prompt(question: _Page | _Form, options: JsonObject) -> Any:
    """Build the prompt of a question.

    Raises:
        ValueError: the question cannot be shown.
    """
    if isinstance(question, _Page):
        return LinkPrompt(url=question.url, **options)
    requested = question.requested_schema
    if not requested.properties:
        accept = Option(value="accept", label="Accept")
        return BinaryPrompt(options=[accept, Option(value="decline", label="Decline")], **options)
    fields = _Fields(requested.defs)
    schema = {
        "type": "object",
        "properties": {name: fields.read(one) for name, one in requested.properties.items()},
        "required": requested.required or [],
    }
    if problem := await acheck_schema(schema):
        raise ValueError(problem)
    return FormPrompt(schema, submit="Send", reject="Decline", **options)


class _Fields:
    """The reader of the fields' schemas, which resolves references within limits.

    The limits matter because a few schemas that refer to each other can expand to more than fits
    into memory.
    """

    def __init__(self, defs: Mapping[str, JsonValue]) -> None:
        self._defs = defs
        self._parts_left = MAX_PARTS

    def read(self, schema: Any, depth: int = 0) -> JsonObject:
        """Return a schema without references, reduced to the protocol's keywords.

        Raises:
            ValueError: the schema is invalid, has a broken reference, or exceeds a limit.
        """
        self._parts_left -= 1
        if not isinstance(schema, dict) or self._parts_left < 0 or depth > MAX_DEPTH:
            raise ValueError("a field has no JSON schema, or one of too many parts")
        if "$ref" in schema:
            name = str(schema["$ref"]).rpartition("/")[2]
            more = {key: value for key, value in schema.items() if key != "$ref"}
            return self.read(self._defs.get(name), depth + 1) | self.read(more, depth + 1)
        kept = {name: value for name, value in schema.items() if name in OF_A_FIELD}
        for name in ("anyOf", "oneOf"):
            if isinstance(kept.get(name), list):
                kept[name] = [self.read(one, depth + 1) for one in kept[name]]
        if "items" in kept:
            kept["items"] = self.read(kept["items"], depth + 1)
        return kept

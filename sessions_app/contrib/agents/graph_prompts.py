"""The interrupts of a graph as questions to people, and the answers in the graph's format."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sessions_app.contrib.agents.approvals import NOT_ASKED, ask_approval, checked_schema, refusal
from sessions_app.contrib.agents.graph_answers import (
    ANY_NODE,
    AnswerSchemas,
    AnswerUndeclared,
    ask_declared,
)
from sessions_app.contrib.agents.tools import (
    UNFIT,
    Policies,
    ToolCallDescription,
    as_text,
    policy_of,
    question_text,
    validate_by_schema,
)
from sessions_app.errors import TooLarge
from sessions_app.json_types import JsonObject, is_same_json
from sessions_app.settings import RuntimeSettings
from sessions_app.workflows import Context, ToolCallResponse

# Replies to the graph when nobody is asked about an action.
UNCLEAR = (
    "Nobody was asked: the action is not in the form about which people can be asked. It needs a "
    "name, its arguments as an object, and the allowed decisions as its framework has them."
)
NOT_ALLOWED = "Nobody was asked, and the action may not be approved without a person."


@dataclass(frozen=True, slots=True)
class PendingInterrupt:
    """An interrupt of a node that waits for an answer; `id` is given by LangGraph.

    `schema` is the JSON schema of the value to resume with, if the graph has one.
    """

    id: str
    value: Any
    schema: JsonObject = field(default_factory=dict)
    node: str = ""


class _Form(BaseModel):
    """The base of frameworks' formats for interrupts; unknown fields are ignored."""

    model_config = ConfigDict(strict=True)


Name = Annotated[str, Field(min_length=1, max_length=200)]


class _Action(_Form):
    """A tool call to be reviewed, as LangChain's human-in-the-loop middleware describes it."""

    name: Name
    args: JsonObject
    description: Any = ""


class _Review(_Form):
    """The decisions that are allowed about an action, and the schema of its arguments."""

    allowed_decisions: Annotated[list[str], Field(min_length=1)] = ["approve", "edit", "reject"]
    args_schema: Any = {}


class _NamedReview(_Review):
    """The allowed decisions about all actions with this name."""

    action_name: str


class _Reviews(_Form):
    """The allowed decisions in a request of the middleware, by action."""

    review_configs: list[_NamedReview] | None = None


class _InboxAction(_Form):
    """A tool call to be reviewed, in the format of Agent Inbox."""

    action: Name
    args: JsonObject


class _InboxConfig(_Form):
    """The allowed answers to an action of Agent Inbox."""

    allow_accept: bool = True
    allow_edit: bool = False
    allow_respond: bool = False
    allow_ignore: bool = True


class _InboxInterrupt(_Form):
    """An interrupt in the format of Agent Inbox."""

    action_request: _InboxAction
    config: _InboxConfig = _InboxConfig()
    description: Any = ""


async def ask_interrupts(
    context: Context,
    approvals: Policies,
    schemas: AnswerSchemas,
    interrupts: Sequence[PendingInterrupt],
) -> dict[str, Any]:
    """Ask people about all interrupts concurrently; return the values to resume with, by id.

    `schemas` are declared by the host, for interrupts that are not about actions.

    Raises:
        AnswerUndeclared: nothing declares the type of an answer.
        TooLarge: there are more questions than may be asked at once.
    """
    limit = RuntimeSettings.load().MAX_PROMPTS_AT_ONCE
    if sum(map(_number_of_questions, interrupts)) > limit:
        raise TooLarge("What a graph asks at once", f"{limit:,} prompts", "MAX_PROMPTS_AT_ONCE")
    replies = await context.gather(*(_ask(context, approvals, schemas, one) for one in interrupts))
    return {one.id: reply for one, reply in zip(interrupts, replies, strict=True)}


def _number_of_questions(pending: PendingInterrupt) -> int:
    match pending.value:
        case {"action_requests": [*requests]}:
            return len(requests)
    return 1


async def _ask(
    context: Context, approvals: Policies, schemas: AnswerSchemas, pending: PendingInterrupt
) -> Any:
    """Ask people about an interrupt, and return the value to resume with."""
    value = pending.value
    match value:
        case {"type": "tool_approval", "name": str(name), "args": dict()}:
            return await _decide(context, approvals, value, {name: _rules(pending.schema)})
        case {"action_requests": [*requests]}:
            try:
                configs = _Reviews.model_validate(value).review_configs or ()
            except ValidationError:
                return {"decisions": [_rejected(UNCLEAR) for _ in requests]}
            reviews = {one.action_name: one for one in configs}
            decisions = [_decide(context, approvals, one, reviews) for one in requests]
            return {"decisions": await context.gather(*decisions)}
        case {"action_request": {"action": _}} | [{"action_request": {"action": _}}]:
            return [await _answer_inbox(context, approvals, value)]
    declared = [schemas[name] for name in (pending.node, ANY_NODE) if name in schemas]
    if not pending.schema and not declared:
        raise AnswerUndeclared(pending.node)
    schema = pending.schema or declared[0]
    return await ask_declared(context, question_text(value), schema, pending.node)


async def _decide(
    context: Context, approvals: Policies, request: Any, reviews: Mapping[str, Any]
) -> JsonObject:
    """Ask about an action of LangChain's middleware, and return the decision in its format."""
    try:
        action = _Action.model_validate(request)
        review = _Review.model_validate(reviews.get(action.name, {}))
    except ValidationError:
        return _rejected(UNCLEAR)
    allowed = review.allowed_decisions
    # Remove the call in Python's notation with which the middleware's default descriptions end.
    repeated = f"\n\nTool: {action.name}\nArgs: {action.args}"
    note = as_text(action.description or "").removesuffix(repeated)
    call = ToolCallDescription(action.name, action.args, review.args_schema, note)
    answer = await _approve(
        context,
        approvals,
        call,
        acceptable="approve" in allowed,
        editable="edit" in allowed,
        answerable="respond" in allowed,
    )
    is_own = is_same_json(answer.arguments, action.args) or "edit" not in allowed
    if answer.approved and not answer.changed and "approve" in allowed and is_own:
        return {"type": "approve"}
    if answer.approved:
        edited = {"name": action.name, "args": answer.arguments}
        return {"type": "edit", "edited_action": edited}
    if answer.value == "answer" or "reject" not in allowed:
        return {"type": "respond", "message": refusal(answer)}
    return _rejected(refusal(answer))


def _rejected(message: str) -> JsonObject:
    return {"type": "reject", "message": message}


async def _answer_inbox(context: Context, approvals: Policies, value: Any) -> JsonObject:
    """Ask about an interrupt of Agent Inbox, and return the answer in its format."""
    try:
        interrupt = _InboxInterrupt.model_validate(value[0] if isinstance(value, list) else value)
    except ValidationError:
        return {"type": "response", "args": UNCLEAR}
    action, config = interrupt.action_request, interrupt.config
    answer = await _approve(
        context,
        approvals,
        ToolCallDescription(action.action, action.args, {}, as_text(interrupt.description or "")),
        acceptable=config.allow_accept,
        editable=config.allow_edit,
        answerable=config.allow_respond,
    )
    if answer.approved and not answer.changed and config.allow_accept:
        return {"type": "accept", "args": None}
    if answer.approved:
        return {"type": "edit", "args": {"action": action.action, "args": answer.arguments}}
    if answer.value == "answer" or not config.allow_ignore:
        return {"type": "response", "args": refusal(answer)}
    return {"type": "ignore", "args": None}


async def _approve(
    context: Context,
    approvals: Policies,
    call: ToolCallDescription,
    *,
    acceptable: bool,
    editable: bool,
    answerable: bool,
) -> ToolCallResponse:
    """Ask about an action; if edits but no approvals are allowed, an approval counts as an edit."""
    policy = replace(policy_of(approvals, call.tool), edit=editable, answer=answerable)
    approvable = acceptable or editable
    schema, _ = await checked_schema(call)
    validate = partial(validate_by_schema, schema)
    arguments, problem = await validate(call.arguments)
    if problem:
        return replace(NOT_ASKED, note=f"{UNFIT}{problem}")
    call = replace(call, arguments=arguments)
    answer = await ask_approval(context, policy, call, validate=validate, approvable=approvable)
    if answer is not None:
        return answer
    if not approvable:
        return replace(NOT_ASKED, note=NOT_ALLOWED)
    return replace(NOT_ASKED, value="approve", arguments=call.arguments, note="")


def _rules(schema: JsonObject) -> JsonObject:
    """Return the allowed decisions and the arguments' schema, as found in an interrupt's schema."""
    defs = schema.get("$defs", {})
    parts: list[JsonObject] = [one.get("properties", {}) for one in (schema, *defs.values())]
    allowed = [part["type"]["const"] for part in parts if "const" in part.get("type", {})]
    arguments: JsonObject = next(
        (part["args"] for part in parts if {"name", "args"} == part.keys()), {}
    )
    known = defs.get(arguments.get("$ref", "").rpartition("/")[2], arguments)
    rules: JsonObject = {"args_schema": {**known, "$defs": defs}}
    return {**rules, "allowed_decisions": allowed} if allowed else rules

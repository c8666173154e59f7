"""The approval of a tool call: people are asked where a policy says so, also after a crash."""

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from typing import Any

from sessions_app.contrib.agents.tools import (
    UNFIT,
    Policy,
    ToolCallDescription,
    Validate,
    as_json,
    as_text,
    cut,
)
from sessions_app.errors import OutcomeUnknown, TooLarge
from sessions_app.interactions.answerers import is_named
from sessions_app.json_types import JsonObject, is_same_json
from sessions_app.prompts import acheck_schema, literal
from sessions_app.prompts.assignment import Assignee
from sessions_app.prompts.tool_call import MAY_I, digest_of
from sessions_app.settings import RuntimeSettings
from sessions_app.workflows import (
    BinaryPrompt,
    Context,
    Option,
    RadioPrompt,
    ToolCallPrompt,
    ToolCallResponse,
)

# Texts for the model where the result of a call is missing or unknown.
IN_TIME = "Nobody allowed it in time."
REJECTED = "The person refused it."
DONE = "A person says that it was done; its result is not known."
UNKNOWN = "It was begun and interrupted. It is not known whether it was done."
TOO_LONG = "Nobody was asked: its arguments are too long for people to be asked about them."

MAX_CALL_NOTE = 4_000  # maximum characters that are shown of an author's note

# The rejection of a call whose arguments are too large for a prompt: nobody is asked.
NOT_ASKED = ToolCallResponse(
    "reject", None, None, is_default=True, arguments={}, changed=(), note=TOO_LONG, digest=""
)


def too_many(already: int) -> str:
    """Return "" if one more question may join `already` open ones, else a text for the model."""
    limit = RuntimeSettings.load().MAX_PROMPTS_AT_ONCE
    if already < limit:
        return ""
    return f"Not asked: at most {limit:,} questions are asked at once. Call again for this one."


async def gather_all(context: Context, works: Sequence[Coroutine[Any, Any, Any]]) -> list[Any]:
    """Await all coroutines concurrently, and return the results; a single one needs no gather."""
    return [await works[0]] if len(works) == 1 else await context.gather(*works)


async def ask_to_go_on(context: Context, text: str, details: JsonObject | None = None) -> bool:
    """Ask the owner of the conversation whether to go on."""
    options = [Option(value="continue", label="Go on"), Option(value="stop", label="Stop here")]
    answer = await context.ask(BinaryPrompt(text=text, options=options, details=details or {}))
    return bool(answer.value == "continue")


async def ask_approval(
    context: Context,
    policy: Policy,
    call: ToolCallDescription,
    *,
    validate: Validate,
    approvable: bool = True,
) -> ToolCallResponse | None:
    """Ask people whether a tool may be called; None if the policy requires no approval.

    The arguments of `call` are already validated. Edited arguments are validated in the same way,
    and passed to the policy again. Approvers that the policy then names are asked, too, unless the
    editor is one of them. A call that is not `approvable` can only be rejected, or answered in the
    tool's place.
    """
    approvers = policy.approvers(call.arguments, context.user)
    if approvers is False and asked_before(context, call.tool) is None:
        return None
    asked = call
    while True:
        prompt = await _prompt(policy, asked, approvable=approvable)
        try:
            decision = await context.ask(prompt, **policy.assignment(approvers))
        except TooLarge:
            return NOT_ASKED
        if not decision.approved or decision.digest == digest_of(asked.arguments):
            return _since(call, decision)
        arguments, problem = await validate(decision.arguments)
        if problem:
            return replace(NOT_ASKED, note=f"{UNFIT}{problem}")
        needed = policy.approvers(arguments, context.user)
        is_whole = digest_of(arguments) == decision.digest
        if is_whole and await _suffices(context, policy, decision, (approvers, needed)):
            return _since(call, decision)
        said = f"{decision.by} has edited this call."
        if not decision.changed:
            said = f"{decision.by} has allowed this call. Its tool has changed since: decide again."
        note = "\n\n".join(filter(None, [call.note, said]))
        asked = replace(call, arguments=arguments, note=note)
        approvers = needed or approvers


def asked_before(context: Context, tool: str) -> ToolCallPrompt | None:
    """Return the question about a call of the tool that an earlier execution asked here.

    A question of the tool's own code, such as about a call of a nested agent, names another tool.
    """
    prompt = context.asked_before()
    return prompt if isinstance(prompt, ToolCallPrompt) and prompt.tool == tool else None


async def decided_before(context: Context, tool: str) -> ToolCallResponse | None:
    """Return the decision on a call about which people were asked before its tool was changed."""
    prompt = asked_before(context, tool)
    return None if prompt is None else await context.ask(prompt)


async def _prompt(policy: Policy, call: ToolCallDescription, *, approvable: bool) -> ToolCallPrompt:
    schema, problem = await checked_schema(call)
    note = cut(as_text(call.note).strip(), MAX_CALL_NOTE)
    unchecked = problem and f"Edited arguments are not checked. {cut(as_text(problem), 500)}"
    return ToolCallPrompt(
        text="\n\n".join(filter(None, [f"{MAY_I}{call.title}?", note, unchecked])),
        tool=call.tool,
        arguments=call.arguments,
        input_schema=schema,
        editable=policy.edit,
        answerable=policy.answer,
        approvable=approvable,
        timeout=policy.timeout,
        default="reject" if policy.timeout else None,
        error=IN_TIME,
    )


async def _suffices(
    context: Context,
    policy: Policy,
    decision: ToolCallResponse,
    approvers: tuple[list[Assignee] | bool, list[Assignee] | bool],
) -> bool:
    """Return whether the editor of a call may also allow the edited call.

    The editor may if the policy requires no approval for the edited call, or names the same
    approvers as before; else only as one of the approvers that the policy names now.
    """
    asked, needed = approvers
    if needed is False or needed == asked:
        return True
    is_owner = decision.by == context.user.username
    if needed is True or (is_owner and policy.four_eyes):
        return is_owner and needed is True
    is_one: bool = await context.step(is_named, decision.by, needed, name="may allow an edit")
    return is_one


def _since(call: ToolCallDescription, decision: ToolCallResponse) -> ToolCallResponse:
    """Return the decision with `changed` naming all arguments that differ from the model's call."""
    if not decision.approved:
        return decision
    before, after = call.arguments, decision.arguments
    changed = [
        name
        for name in {**before, **after}
        if (name in before) != (name in after) or not is_same_json(before[name], after[name])
    ]
    return replace(decision, changed=tuple(changed))


async def checked_schema(call: ToolCallDescription) -> tuple[JsonObject, str]:
    """Return the schema of a call's arguments, and the reason if the schema is unusable.

    The schema is empty if it is unusable, or if the tool or graph has none.
    """
    schema = as_json(call.input_schema)
    if not isinstance(schema, dict):
        return {}, ""
    problem = await acheck_schema(schema)
    return ({}, problem) if problem else (schema, "")


def refusal(decision: ToolCallResponse) -> str:
    """Return the text that the model reads in place of the result of a refused call."""
    if decision.is_default:
        return decision.note or IN_TIME
    return decision.note if decision.value == "answer" else f"{REJECTED} {decision.note}".strip()


def remarks(decision: ToolCallResponse | None) -> str:
    """Return what the model reads about an approved call after its result: edits, and the note."""
    if decision is None or not decision.approved:
        return ""
    lines = []
    if decision.changed:
        arguments = as_text(decision.arguments)
        lines.append(f"The person who allowed it changed the call. It was made with {arguments}.")
    if decision.note:
        lines.append(f"The person who allowed it wrote: {decision.note}")
    return "".join(f"\n\n{line}" for line in lines)


async def ask_after_crash(
    context: Context, policy: Policy | None, call: ToolCallDescription
) -> str:
    """Ask whether a call that was cut off is to be made again.

    Return "" to make the call again, else a text that the model reads in place of the result.
    """
    prompt = RadioPrompt(
        text=f"Was this done: {call.title}?\nIt was begun, and the server stopped before it ended.",
        options=[
            Option(value="again", label="It was not done: do it now"),
            Option(value="done", label="It was done"),
            Option(value="unknown", label="I do not know: go on without it"),
        ],
        details={name: literal(value) for name, value in as_json(call.arguments).items()},
    )
    answer = await context.ask(prompt, **ask_options(context, policy, call))
    return {"again": "", "done": DONE}.get(answer.value, UNKNOWN)


def ask_options(context: Context, policy: Policy | None, call: ToolCallDescription) -> JsonObject:
    """Return the arguments of `Context.ask` that address the approvers of the call.

    Without approvers, the owner of the conversation is asked.
    """
    if policy is None:
        return {}
    return policy.assignment(policy.approvers(call.arguments, context.user))


async def make_call(
    context: Context,
    policy: Policy | None,
    call: ToolCallDescription,
    function: Callable[[], Any],
    *,
    name: str,
    once: bool,
) -> Any:
    """Make a call in a step that people see, and return its result.

    If a process died in the middle of a call with `once`, a person decides whether the call is made
    again; if not, a text is returned in place of the result.
    """
    while True:
        try:
            return await context.step(function, name=name, title=call.title, once=once)
        except OutcomeUnknown:
            pass
        if text := await ask_after_crash(context, policy, call):
            return text

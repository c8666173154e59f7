"""The way of a tool call: checked, allowed by people where a policy says so, called, recorded."""

import inspect
from collections.abc import Sequence
from functools import partial
from typing import Any

from sessions_app.agents.models import ToolCall
from sessions_app.agents.tools import Tool, ToolContext, Tools, as_text
from sessions_app.errors import OutcomeUnknown, StepFailed
from sessions_app.json_types import JsonObject
from sessions_app.prompts.assignment import To
from sessions_app.workflows import Context, Option, RadioPrompt, ToolCallPrompt

# The model is told so where something else than the tool's result comes back.
IN_TIME = "Nobody allowed it in time."
REJECTED = "The person refused it."
DONE = "A person says that it was done; its result is not known."
UNKNOWN = "It was begun and interrupted. It is not known whether it was done."


async def use_tools(
    calls: Sequence[ToolCall], tools: Tools, context: Context, turn: int
) -> list[str]:
    """Carry out the calls of one answer of the model at once, and return the result of each.

    All approvals are asked at once. Each call is made as soon as it is allowed.
    """
    works = [
        _use(call, tools, context, f"{context.run_id}-{turn}-{number}")
        for number, call in enumerate(calls)
    ]
    if len(works) == 1:
        return [await works[0]]
    results: list[str] = await context.gather(*works)
    return results


async def _use(call: ToolCall, tools: Tools, context: Context, call_id: str) -> str:
    arguments, problem = tools.read(call)
    if problem:
        return problem
    tool = tools[call.name]
    approvers = tool.policy.approvers(arguments, context.user) if tool.policy else False
    if approvers is not False:
        prompt = _approval(tool, arguments)
        decision = await context.ask(prompt, **_assignment(tool, approvers))
        if decision.is_default:
            return IN_TIME
        if decision.value == "answer":
            return decision.note
        if not decision.approved:
            return f"{REJECTED} {decision.note}".strip()
        arguments = decision.arguments
        if problem := tool.check(arguments):
            return f"The arguments do not fit: {problem}"
    tool_context = ToolContext(
        user=context.user,
        conversation_id=context.conversation_id,
        run_id=context.run_id,
        call_id=call_id,
        builder=context.builder,
        options=context.options,
    )
    try:
        return await _use_tool(context, tool_context, tool, arguments, approvers)
    except StepFailed as error:
        return f"That failed ({error.error_type})."


def _approval(tool: Tool, arguments: JsonObject) -> ToolCallPrompt:
    assert tool.policy is not None  # noqa: S101 - for types: who calls this has looked
    return ToolCallPrompt(
        text=f"May I do this: {tool.title(arguments)}?",
        tool=tool.name,
        arguments=arguments,
        input_schema=tool.input_schema,
        editable=tool.policy.edit,
        answerable=tool.policy.answer,
        timeout=tool.policy.timeout,
        default="reject" if tool.policy.timeout else None,
        error=IN_TIME,
    )


def _assignment(tool: Tool, approvers: To | bool) -> JsonObject:
    """Return the arguments of `Context.ask` that say whom to ask."""
    if approvers is True or tool.policy is None:
        return {}
    names = ("four_eyes", "share", "due", "remind", "escalate")
    return {"to": approvers, **{name: getattr(tool.policy, name) for name in names}}


async def _use_tool(
    context: Context,
    tool_context: ToolContext,
    tool: Tool,
    arguments: JsonObject,
    approvers: To | bool,
) -> str:
    """Call a tool, and return its result.

    Where a process died in the middle of one that must not be called twice, a person says whether
    it is to be called again.
    """
    while True:
        try:
            return await _step(context, tool_context, tool, arguments)
        except OutcomeUnknown:
            question = _question_after_crash(tool, arguments)
        answer = await context.ask(question, **_assignment(tool, approvers))
        if answer.value != "again":
            return DONE if answer.value == "done" else UNKNOWN


async def _step(
    context: Context, tool_context: ToolContext, tool: Tool, arguments: JsonObject
) -> str:
    """Call the tool in a step that people see."""
    call = _Call(tool, tool_context)
    function = call.use_async if inspect.iscoroutinefunction(tool.use) else call.use
    # In a `partial`, as a tool may have any name.
    bound: Any = partial(function, arguments)
    title, once = tool.title(arguments), not tool.repeatable
    result: str = await context.step(bound, name=tool.name, title=title, once=once)
    return result


def _question_after_crash(tool: Tool, arguments: JsonObject) -> RadioPrompt:
    return RadioPrompt(
        text=f"Was this done: {tool.title(arguments)}?\n"
        "It was begun, and the server stopped before it ended.",
        options=[
            Option(value="again", label="It was not done: do it now"),
            Option(value="done", label="It was done"),
            Option(value="unknown", label="I do not know: go on without it"),
        ],
        details=arguments,
    )


class _Call:
    """A call of a tool, as the function of a step."""

    def __init__(self, tool: Tool, tool_context: ToolContext) -> None:
        self._tool = tool
        self._tool_context = tool_context

    def use(self, arguments: JsonObject) -> str:
        """Call a plain tool."""
        return as_text(self._tool.use(arguments, self._tool_context))

    async def use_async(self, arguments: JsonObject) -> str:
        """Call an async tool."""
        return as_text(await self._tool.use(arguments, self._tool_context))

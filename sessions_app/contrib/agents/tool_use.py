"""The way of a tool call: checked, allowed where a policy says so, called, recorded."""

import inspect
from collections.abc import Sequence
from functools import partial
from typing import Any

from sessions_app.contrib.agents.approvals import ask_approval, call_once, refusal, too_many
from sessions_app.contrib.agents.language_model import ToolCall
from sessions_app.contrib.agents.tools import (
    Tool,
    ToolContext,
    Tools,
    as_text,
)
from sessions_app.errors import StepFailed, TooLarge
from sessions_app.json_types import JsonObject
from sessions_app.workflows import (
    Context,
)

TOO_LARGE = "It was done. Its result is too large to be shown."


async def use_tools(
    calls: Sequence[ToolCall], tools: Tools, context: Context, turn: int
) -> list[str]:
    """Carry out the calls of one answer of the model at once, and return the result of each.

    All approvals are asked at once. Each call is made as soon as it is allowed.
    """
    prepared = [(call, *await tools.read(call)) for call in calls]
    asked, works = 0, []
    for number, (call, arguments, problem) in enumerate(prepared):
        policy = None if problem else tools[call.name].policy
        if policy and policy.approvers(arguments, context.user) is not False:
            problem, asked = too_many(asked), asked + 1
        call_id = f"{context.run_id}-{turn}-{number}"
        works.append(
            _tell(problem) if problem else _use(tools[call.name], arguments, context, call_id)
        )
    if len(works) == 1:
        return [await works[0]]
    results: list[str] = await context.gather(*works)
    return results


async def _tell(problem: str) -> str:
    return problem


async def _use(tool: Tool, arguments: JsonObject, context: Context, call_id: str) -> str:
    if tool.policy and (
        decision := await ask_approval(
            context, tool.policy, tool.describe(arguments), validate=tool.validate
        )
    ):
        if not decision.approved:
            return refusal(decision)
        arguments = decision.arguments
    tool_context = ToolContext(
        user=context.user,
        conversation_id=context.conversation_id,
        run_id=context.run_id,
        call_id=call_id,
        builder=context.builder,
        options=context.options,
    )
    try:
        return await _use_tool(context, tool_context, tool, arguments)
    except StepFailed as error:
        if error.error_type == TooLarge.__name__:
            return TOO_LARGE
        return f"That failed ({error.error_type})."


async def _use_tool(
    context: Context, tool_context: ToolContext, tool: Tool, arguments: JsonObject
) -> str:
    """Call a tool, and return its result."""
    if not tool.in_step:
        return as_text(await tool.use(arguments, tool_context))
    step = partial(_step, context, tool_context, tool, arguments)
    return await call_once(context, tool.policy, tool.describe(arguments), step)


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

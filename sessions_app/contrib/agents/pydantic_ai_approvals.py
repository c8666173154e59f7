"""Approvals of the calls of an agent of Pydantic AI: what is approved is what its tool gets.

It needs `[pydantic-ai]`. `pydantic_ai` hosts the agent.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from pydantic import ValidationError
from pydantic_ai import (
    DeferredToolRequests,
    DeferredToolResults,
    ModelRetry,
    RunContext,
    ToolApproved,
    ToolCallPart,
    ToolDefinition,
    ToolDenied,
    ToolFailed,
)
from pydantic_ai.capabilities import AbstractCapability
from pydantic_ai.tool_manager import ToolManager, ValidatedToolCall
from pydantic_ai.toolsets import AbstractToolset, ToolsetTool, WrapperToolset

from sessions_app.contrib.agents.approvals import ask_approval, refusal, too_many
from sessions_app.contrib.agents.tools import (
    HIDDEN,
    UNFIT,
    Policies,
    Policy,
    ToolCallDescription,
    as_json,
    as_text,
    is_same_value,
    policy_of,
    read_arguments,
    validate_by_schema,
)
from sessions_app.json_types import JsonObject, is_same_json
from sessions_app.workflows import Context


class Approvals(AbstractCapability[Any]):
    """The capability that has people decide about calls, and gives each call deps of its own."""

    def __init__(self, policies: Policies, make_deps: Callable[[], Any] | None) -> None:
        self._policies = policies
        self._make_deps = make_deps

    def get_wrapper_toolset(self, toolset: AbstractToolset[Any]) -> AbstractToolset[Any] | None:
        """Wrap the tools, if the agent has deps."""
        return OwnDeps(toolset, self._make_deps) if self._make_deps else None

    async def before_tool_validate(
        self, ctx: RunContext[Any], *, call: ToolCallPart, tool_def: ToolDefinition, args: Any
    ) -> Any:
        """Refuse arguments that can be read in two ways."""
        problem = read_arguments(args)[1] if isinstance(args, str) else ""
        if "twice" in problem:
            raise ModelRetry(f"{UNFIT}{problem}")
        return args

    async def handle_deferred_tool_calls(
        self, ctx: RunContext[Any], *, requests: DeferredToolRequests
    ) -> DeferredToolResults:
        """Ask people about all calls that need approval at once, and wait for outside results."""
        context = Context.get()
        asked, approvals = 0, []
        for call in requests.approvals:
            policy = policy_of(self._policies, call.tool_name)
            arguments, problem = await _validate(ctx, call, as_json(call.args_as_dict()))
            if problem:
                problem = f"{UNFIT}{problem}"
            elif policy.approvers(arguments, context.user) is not False:
                problem, asked = too_many(asked), asked + 1
            note = _note(requests.metadata.get(call.tool_call_id))
            approvals.append(
                _deny(problem) if problem else _approve(ctx, policy, call, arguments, note)
            )
        arrivals = [context.wait_for(f"tool {call.tool_call_id}") for call in requests.calls]
        results = await context.gather(*approvals, *arrivals)
        calls = [*requests.approvals, *requests.calls]
        by_id = {call.tool_call_id: result for call, result in zip(calls, results, strict=True)}
        return requests.build_results(
            approvals={one.tool_call_id: by_id[one.tool_call_id] for one in requests.approvals},
            calls={one.tool_call_id: by_id[one.tool_call_id] for one in requests.calls},
        )


@dataclass
class OwnDeps(WrapperToolset[Any]):
    """The tools of an agent, each call of which has deps of its own.

    A call that is recorded is not made again: what it has changed would be lost by a crash.
    """

    make_deps: Callable[[], Any] | None = None

    async def call_tool(
        self, name: str, tool_args: dict[str, Any], ctx: RunContext[Any], tool: ToolsetTool[Any]
    ) -> Any:
        """Call a tool."""
        if self.make_deps:
            ctx = replace(ctx, deps=self.make_deps())
        return await super().call_tool(name, tool_args, ctx, tool)


async def _approve(
    ctx: RunContext[Any], policy: Policy, call: ToolCallPart, arguments: JsonObject, note: str
) -> ToolApproved | ToolDenied:
    """Ask about a call, and approve what was shown and judged."""
    schema = ctx.tools[call.tool_name].parameters_json_schema
    described = ToolCallDescription(call.tool_name, arguments, schema, note)
    validate = partial(_validate, ctx, call)
    decision = await ask_approval(Context.get(), policy, described, validate=validate)
    if decision and not decision.approved:
        return ToolDenied(refusal(decision))
    return ToolApproved(override_args=decision.arguments if decision else arguments)


async def _deny(problem: str) -> ToolDenied:
    return ToolDenied(problem)


def _note(metadata: dict[str, Any] | None) -> str:
    """Return what a tool says about the approval that it needs, a line for each name."""
    return "\n".join(f"{name}: {as_text(value)}" for name, value in (metadata or {}).items())


async def _validate(
    ctx: RunContext[Any], call: ToolCallPart, written: JsonObject
) -> tuple[JsonObject, str]:
    """Validate arguments as the framework does; see `Validate`.

    The framework has no validator for tools of which it knows the JSON schema only.
    """
    manager: Any = ctx.tool_manager  # a run has one
    try:
        validated = await _validated(manager, call, written)
        tool = validated.tool
        if tool and _takes_all(tool):
            schema = tool.tool_def.parameters_json_schema
            arguments, problem = await validate_by_schema(schema, written)
            read = (await _validated(manager, call, arguments)).validated_args
            is_read = is_same_json(as_json(read), arguments)
            return arguments, problem if is_read else HIDDEN.format(", ".join(arguments))
        return await _as_json(manager, validated, written), ""
    except ValidationError as error:
        return written, str(error.errors(include_url=False, include_input=False))
    except (ModelRetry, ToolFailed) as error:
        return written, error.message
    except ValueError as error:
        return written, str(error)


def _takes_all(tool: ToolsetTool[Any]) -> bool:
    """Return whether a tool's validator takes any arguments, as those of MCP servers do."""
    try:
        return bool(tool.args_validator.validate_python({"": 0}) == {"": 0})
    except ValidationError:
        return False


async def _validated(
    manager: ToolManager[Any], call: ToolCallPart, arguments: JsonObject
) -> ValidatedToolCall[Any]:
    return await manager.validate_tool_call(
        replace(call, args=arguments), wrap_validation_errors=False
    )


async def _read_again(
    manager: ToolManager[Any], call: ToolCallPart, dumped: JsonObject
) -> ValidatedToolCall[Any]:
    """Validate what was dumped.

    Raises:
        ValueError: a validator of the author's reads what models write, and no more.
    """
    try:
        return await _validated(manager, call, dumped)
    except (ValidationError, ModelRetry, ToolFailed):
        raise
    except Exception as error:
        raise ValueError(HIDDEN.format(", ".join(dumped))) from error


async def _as_json(
    manager: ToolManager[Any], validated: ValidatedToolCall[Any], written: JsonObject
) -> JsonObject:
    """Return validated arguments as JSON from which the same is validated.

    Defaults that JSON cannot say stay the function's own.

    Raises:
        ValueError: there is no such JSON.
    """
    values, tool = validated.validated_args or {}, validated.tool
    dumped: JsonObject = as_json(values)
    properties = tool.tool_def.parameters_json_schema.get("properties", {}) if tool else {}
    [first, *others] = [*dumped, ""]
    if others == [""] and first not in properties and isinstance(dumped[first], dict):
        dumped = dumped[first]  # a single model: the arguments are its fields
    dumped |= {
        name: written[name] for name in written if is_same_json(dumped.get(name), written[name])
    }
    if is_same_json(dumped, written):
        return written
    try:
        again = await _read_again(manager, validated.call, dumped)
    except ValidationError as error:
        unfit = {str(one["loc"][0]) for one in error.errors() if one["loc"]} - written.keys()
        if not unfit & dumped.keys():
            raise
        dumped = {name: value for name, value in dumped.items() if name not in unfit}
        again = await _read_again(manager, validated.call, dumped)
    read = again.validated_args or {}
    hidden = {name for name in values if not is_same_value(values[name], read.get(name))}
    if hidden - (dumped.keys() - written.keys()):
        raise ValueError(HIDDEN.format(", ".join(sorted(hidden))))
    return {name: value for name, value in dumped.items() if name not in hidden}

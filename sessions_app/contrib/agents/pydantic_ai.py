"""Agents of Pydantic AI as workflows: unchanged, durable, and with approvals by people.

Requires `[pydantic-ai]`. Each request to a model and each tool call is a step, by the package's
interface for durable execution engines.
"""

import asyncio
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    Awaitable,
    Callable,
    Iterable,
    Sequence,
)
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any, ClassVar
from uuid import UUID

from django.core.exceptions import ImproperlyConfigured
from pydantic import ValidationError

from sessions_app.contrib.agents.approvals import (
    ask_approval,
    decided_before,
    make_call,
    refusal,
    remarks,
    too_many,
)
from sessions_app.contrib.agents.done_calls import done_calls
from sessions_app.contrib.agents.language_model import no_answer, with_files, with_separator
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
from sessions_app.errors import StepFailed, Unrecorded
from sessions_app.json_types import JsonObject, is_same_json
from sessions_app.models import JournalEntry
from sessions_app.settings import RuntimeSettings
from sessions_app.storage.storable import measure, storable
from sessions_app.workflows import (
    Context,
    Message,
    PastCall,
    PastMessage,
    Reasoning,
    workflow,
)
from sessions_app.workflows.context import current_context
from sessions_app.workflows.past_calls import read_calls
from sessions_app.workflows.steps import EACH_VALUE, running_step
from sessions_app.workflows.streams import StreamedText

try:
    from pydantic_ai import (
        Agent,
        AgentStreamEvent,
        DeferredToolRequests,
        DeferredToolResults,
        ModelMessagesTypeAdapter,
        ModelRetry,
        PartDeltaEvent,
        PartStartEvent,
        RunContext,
        TextPart,
        TextPartDelta,
        ThinkingPart,
        ThinkingPartDelta,
        ToolApproved,
        ToolCallPart,
        ToolDefinition,
        ToolDenied,
        ToolFailed,
        UsageLimitExceeded,
        UsageLimits,
    )
    from pydantic_ai.capabilities import AbstractCapability
    from pydantic_ai.durable_exec import (
        JSON_CODEC,
        BaseDurabilityCapability,
        DurabilityEngineSpec,
        DurableOperationId,
        EventStreamHandlerId,
        JournalCallableOperationBackend,
        ModelRequestId,
        RoleBasedOperationConfig,
        ToolsetCallToolId,
        conversation_id_from_run_id,
    )
    from pydantic_ai.messages import (
        ModelMessage,
        ModelRequest,
        ModelResponse,
        ToolReturnPart,
        UserPromptPart,
    )
    from pydantic_ai.tool_manager import ToolManager, ValidatedToolCall
    from pydantic_ai.toolsets import AbstractToolset, ToolsetTool, WrapperToolset
except ImportError as error:
    raise ImproperlyConfigured(
        "sessions_app.contrib.agents.pydantic_ai needs Pydantic AI 2.60 or newer, below 3: "
        "pip install 'django-durable-hitl[pydantic-ai]'"
    ) from error

# Name of the step that records the messages of a run for later runs of the conversation.
MESSAGES = "pydantic_ai messages"
# Queue through which the pieces of a model's stream reach the step that records the stream.
_live: ContextVar["asyncio.Queue[str | Reasoning | None] | None"] = ContextVar(
    "_live", default=None
)


@dataclass(frozen=True, slots=True)
class Recorded:
    """A model's whole response as JSON, yielded as the last piece of a recorded stream."""

    response: JsonObject


def pydantic_ai_workflow(
    agent: "Agent[Any, Any]", *, name: str, title: str, **options: Any
) -> None:
    """Host an agent of Pydantic AI as a workflow.

    Args:
        agent: the unchanged agent. Each of its toolsets needs an `id`.
        name: the workflow's name; `title` is shown to people.
        options: further arguments of `HostedAgent` and of `workflow`.
    """
    names = ("deps", "approvals", "history", "usage_limits")
    own = {one: options.pop(one) for one in names if one in options}
    hosted = HostedAgent(agent, name, **own)

    @workflow(name=name, title=title, **options)
    async def answer(message: Message, context: Context) -> str:
        return await hosted.run(context)


class HostedAgent:
    """An agent of Pydantic AI that a workflow executes durably."""

    def __init__(
        self,
        agent: "Agent[Any, Any]",
        name: str,
        *,
        deps: Callable[[Context], Any] | None = None,
        approvals: Policies = Policy(),  # noqa: B008 - it is frozen
        history: int = 20,
        usage_limits: "UsageLimits | None" = None,
    ) -> None:
        """Check that the agent can be hosted.

        Args:
            agent: the unchanged agent.
            name: the prefix of the agent's step names in the journal.
            deps: builds the agent's dependencies, again for each tool call, and in a replay.
            approvals: the policy for calls that need approval: one for all, or one by the name of a
                tool. For other tools, the owner of the conversation is asked.
            history: number of earlier messages of the conversation for the agent.
            usage_limits: as for `Agent.run`; by default the framework's, 50 requests to the model.

        Raises:
            UserError: a toolset of the agent has no `id`.
        """
        self._agent = agent
        self._name = name
        self._deps = deps
        self._approvals = approvals
        self._history = history
        self._usage_limits = usage_limits
        Durability(name=name, approvals=self._approvals).for_agent(agent)

    async def run(self, context: Context) -> str:
        """Answer the run's message, and return the agent's output as text.

        If a model cannot be asked, or a limit is reached, the text says so.
        """
        past = await context.history(self._history)
        earlier = await context.step(read_messages, past, name="pydantic_ai history")
        durability = Durability(name=self._name, approvals=self._approvals)
        make_deps = partial(self._deps, context) if self._deps else None
        try:
            result = await self._agent.run(
                _input(context),
                message_history=ModelMessagesTypeAdapter.validate_python(earlier),
                deps=make_deps() if make_deps else None,
                usage_limits=self._usage_limits,
                capabilities=[durability, Approvals(self._approvals, make_deps)],
            )
        except StepFailed as error:
            if f"{self._name}__model." not in error.step:
                raise
            return no_answer(error, apart=bool(durability.said))
        except UsageLimitExceeded as error:
            return with_separator(f"I stop here. {error}", apart=bool(durability.said))
        usage = result.usage
        context.add_usage(
            prompt_tokens=usage.input_tokens or 0, completion_tokens=usage.output_tokens or 0
        )
        messages = partial(_dump, result.new_messages())
        with suppress(StepFailed):  # messages too long to store: later runs get only the texts
            await context.step(messages, name=MESSAGES)
        text = as_text(result.output)
        if isinstance(result.output, str) and "".join(durability.said).endswith(text):
            return StreamedText(text)
        return with_separator(text, apart=bool(durability.said))


class AsksInTool(Unrecorded):
    """An agent that a tool runs has called a tool that people must approve."""

    def __init__(self, tool: str) -> None:
        super().__init__(
            f"A tool runs an agent whose tool {tool} needs an approval. A call of a tool is one "
            f"recorded step, which cannot wait for a person. Give {tool} to the outer agent, or "
            "have a workflow run both agents; then resume the run."
        )


class Codec:
    """Pydantic AI's codec of results as JSON, but for questions of an agent that a tool runs."""

    def dump(self, tp: Any, value: Any) -> Any:
        """Return a result as JSON; called inside of the step.

        Raises:
            AsksInTool: the result of a tool is another agent's list of calls that wait.
        """
        result = getattr(value, "result", None)
        if isinstance(result, DeferredToolRequests):
            raise AsksInTool([*result.approvals, *result.calls][0].tool_name)
        return JSON_CODEC.dump(tp, value)

    def load(self, tp: Any, payload: Any) -> Any:
        """Return the result of JSON."""
        return JSON_CODEC.load(tp, payload)


class Durability(BaseDurabilityCapability[Any]):
    """The capability that records an agent's model requests and tool calls as steps of the run."""

    engine_spec: ClassVar = DurabilityEngineSpec(
        engine_name="django-durable-hitl",
        durable_unit_noun="step",
        durable_container_noun="workflow",
        codec=Codec(),
        # Call tools one after another, so that the order of steps does not depend on timing.
        sequential_tools_in_durable_context=True,
    )

    def __init__(self, *, name: str, approvals: Policies) -> None:
        super().__init__(name=name, event_stream_handler=_give_live)
        self._approvals = approvals
        # Texts that people have seen; if there are any, a blank line precedes the next. Copies of
        # this object, which the framework makes, share the list.
        self.said: list[str] = []

    @property
    def in_durable_context(self) -> bool:
        """True while the workflow's own code is executed, not a step's."""
        return current_context.get() is not None and running_step.get() is None

    def get_default_run_id(self) -> str | None:
        """Return the id of the run, the same in a replay."""
        return Context.get().run_id if self.in_durable_context else None

    def get_default_conversation_id(self, run_id: str) -> str | None:
        """Return an id derived from the id of the run."""
        return conversation_id_from_run_id(run_id) if self.in_durable_context else None

    async def get_run_start_time(self, run_id: str) -> datetime | None:
        return Context.get().now() if self.in_durable_context else None

    def get_durable_operation_backend(self) -> "_Steps":
        return _Steps(self.name, self._approvals, self.said)


class _Steps(JournalCallableOperationBackend[None]):
    """The backend that executes an agent's operations as steps of the run."""

    def __init__(self, agent_name: str, approvals: Policies, said: list[str]) -> None:
        config = RoleBasedOperationConfig(model=None, event=None, capability=None, tool=None)
        super().__init__(agent_name=agent_name, config=config)
        self._approvals = approvals
        self._said = said

    async def execute(
        self,
        *,
        operation_id: DurableOperationId,
        name: str,
        body: Callable[[], Awaitable[object]],
        cache_key: tuple[object, ...],
        config: None,
    ) -> object:
        """Execute an operation in a step, or return the recorded result."""
        context = Context.get()
        if isinstance(operation_id, EventStreamHandlerId):
            return await body()  # do not record a handler that only reports events
        if isinstance(operation_id, ModelRequestId) and operation_id.streaming:
            source = _ModelStream(body, apart=bool(self._said))
            piece: str | Reasoning | Recorded | None = None
            async for piece in context.stream(source.pieces, name=name):
                if isinstance(piece, str):
                    self._said.append(piece)
            return piece.response if isinstance(piece, Recorded) else None

        async def execute(*_arguments: object) -> Any:  # the arguments are only for the journal
            return storable(await body())

        if not isinstance(operation_id, ToolsetCallToolId):
            return await context.step(execute, name=name)
        key: tuple[Any, ...] = cache_key
        tool, arguments, run_context, *_ = key
        call, policy = ToolCallDescription(tool, arguments, {}), policy_of(self._approvals, tool)
        once = bool(run_context.tool_call_approved)
        function = partial(execute, arguments)
        result = await make_call(context, policy, call, function, name=name, once=once)
        return {"kind": "tool_return", "result": result} if isinstance(result, str) else result


@dataclass(frozen=True, slots=True)
class _ModelStream:
    """A streamed request to a model; `pieces` is the function of the recorded step."""

    body: Callable[[], Awaitable[Any]]
    apart: bool

    async def pieces(self) -> AsyncGenerator[str | Reasoning | Recorded, None]:
        """Yield text and thoughts while they are generated, and finally the whole response."""
        live: asyncio.Queue[str | Reasoning | None] = asyncio.Queue()
        token = _live.set(live)
        request = asyncio.ensure_future(self.body())
        request.add_done_callback(lambda _request: live.put_nowait(None))
        _live.reset(token)
        try:
            apart = self.apart
            while (piece := await live.get()) is not None:
                if apart and isinstance(piece, str):
                    yield "\n\n"
                    apart = False
                yield piece
            yield Recorded(storable(await request))
        finally:
            request.cancel()


async def _give_live(
    _run_context: "RunContext[Any]", events: AsyncIterable[AgentStreamEvent]
) -> None:
    """Put the visible pieces of a model's stream into the queue of the recording step."""
    live = _live.get()
    async for event in events:
        if live is None:
            continue
        part = event.part if isinstance(event, PartStartEvent) else None
        delta = event.delta if isinstance(event, PartDeltaEvent) else None
        if isinstance(part, TextPart) and part.content:
            live.put_nowait(part.content)
        elif isinstance(delta, TextPartDelta) and delta.content_delta:
            live.put_nowait(delta.content_delta)
        elif isinstance(part, ThinkingPart) and part.content:
            live.put_nowait(Reasoning(part.content))
        elif isinstance(delta, ThinkingPartDelta) and delta.content_delta:
            live.put_nowait(Reasoning(delta.content_delta))


def _input(context: Context) -> Any:
    """Return the input of a run for the agent; of attached files it reads what they are."""
    if isinstance(context.message, Message):
        return with_files(context.message.text, context.files)
    return context.input_message


def read_messages(past: Sequence[PastMessage]) -> list[JsonObject]:
    """Return messages of earlier runs, as the agent recorded them, or else from calls and texts.

    A run that failed or was stopped has recorded no messages. Keeps the latest messages that fit
    into the result of a step. Reads the database.
    """
    runs = list(dict.fromkeys(one.run for one in past))
    ids = [UUID(run) for run in runs]
    rows = JournalEntry.objects.filter(run__in=ids, name=MESSAGES, error__isnull=True)
    kept = {str(run): result for run, result in rows.values_list("run", "result")}
    calls_of = read_calls([run for run in ids if str(run) not in kept])
    limit = RuntimeSettings.load().MAX_STEP_RESULT
    messages: list[JsonObject] = []
    for run in reversed(runs):
        of_run = [one for one in past if one.run == run]
        own = kept.get(run) or _dump(_built_messages(of_run, calls_of.get(run, ())))
        earlier = [*own, *messages]
        if measure(earlier, limit, each=EACH_VALUE) > limit:
            break
        messages = earlier
    return messages


def _built_messages(past: Sequence[PastMessage], calls: Iterable[PastCall]) -> list[ModelMessage]:
    """Return the messages of a run: the person's, the calls with their results, and the text."""
    messages: list[ModelMessage] = [
        ModelRequest(parts=[UserPromptPart(with_files(one.text, one.files))])
        for one in past
        if one.role == "user"
    ]
    if done := done_calls(calls, past[0].run):
        requested = [ToolCallPart(one.tool, one.arguments, one.id) for one in done]
        results = [ToolReturnPart(one.tool, one.result, one.id) for one in done]
        messages += [ModelResponse(parts=requested), ModelRequest(parts=results)]
    texts = [one.text for one in past if one.role != "user"]
    return [*messages, *(ModelResponse(parts=[TextPart(text)]) for text in texts)]


def _dump(messages: list[ModelMessage]) -> list[JsonObject]:
    dumped: list[JsonObject] = ModelMessagesTypeAdapter.dump_python(messages, mode="json")
    return [storable(message) for message in dumped]


class Approvals(AbstractCapability[Any]):
    """The capability that asks people about tool calls, and gives each call its own deps."""

    def __init__(self, policies: Policies, make_deps: Callable[[], Any] | None) -> None:
        self._policies = policies
        self._make_deps = make_deps
        # Remarks of people about approved calls, by the id of the call.
        self._remarks: dict[str, str] = {}

    def get_wrapper_toolset(self, toolset: AbstractToolset[Any]) -> AbstractToolset[Any] | None:
        """Give each call its own dependencies, if the agent has any."""
        return OwnDeps(toolset, self._make_deps) if self._make_deps else None

    async def before_tool_validate(
        self, ctx: RunContext[Any], *, call: ToolCallPart, tool_def: ToolDefinition, args: Any
    ) -> Any:
        """Refuse arguments that have a name twice, as readers would disagree on the value."""
        problem = read_arguments(args)[1] if isinstance(args, str) else ""
        if "twice" in problem:
            raise ModelRetry(f"{UNFIT}{problem}")
        return args

    async def handle_deferred_tool_calls(
        self, ctx: RunContext[Any], *, requests: DeferredToolRequests
    ) -> DeferredToolResults:
        """Ask people to approve all calls together, and wait for results of external tools."""
        context = Context.get()
        asked, approvals = 0, []
        for call in requests.approvals:
            policy = policy_of(self._policies, call.tool_name)
            arguments, problem = await _validate(ctx, call, as_json(call.args_as_dict()))
            if problem:
                problem = f"{UNFIT}{problem}"
            elif policy.approvers(arguments, context.user) is not False:
                problem, asked = too_many(asked), asked + 1
            metadata = requests.metadata.get(call.tool_call_id) or {}
            note = "\n".join(f"{name}: {as_text(value)}" for name, value in metadata.items())
            approvals.append(
                _deny(context, call.tool_name, problem)
                if problem
                else _approve(ctx, policy, call, arguments, note)
            )
        arrivals = [context.wait_for(f"tool {call.tool_call_id}") for call in requests.calls]
        results = await context.gather(*approvals, *arrivals)
        decided = dict(zip([one.tool_call_id for one in requests.approvals], results, strict=False))
        for call in requests.approvals:
            self._note_decision(call, decided[call.tool_call_id])
        return requests.build_results(
            approvals={call_id: one.result for call_id, one in decided.items()},
            calls={
                call.tool_call_id: result
                for call, result in zip(requests.calls, results[len(decided) :], strict=True)
            },
        )

    def _note_decision(self, call: ToolCallPart, decided: "_Decided") -> None:
        """Put edited arguments into the call of the message history, and keep the remarks."""
        if decided.is_edited and isinstance(decided.result, ToolApproved):
            call.args = decided.result.override_args
            call.id = None  # else OpenAI would use the call as the server has stored it
        self._remarks[call.tool_call_id] = decided.remarks

    async def after_tool_execute(
        self,
        ctx: RunContext[Any],
        *,
        call: ToolCallPart,
        tool_def: ToolDefinition,
        args: Any,
        result: Any,
    ) -> Any:
        """Add the remarks of the person who allowed the call to its result for the model."""
        said = self._remarks.get(call.tool_call_id)
        return f"{as_text(result)}{said}" if said else result


@dataclass
class OwnDeps(WrapperToolset[Any]):
    """A wrapper of an agent's tools that builds new dependencies (deps) for each call.

    A recorded call is not repeated, so after a crash its changes to shared deps would be lost.
    """

    make_deps: Callable[[], Any]

    async def call_tool(
        self, name: str, tool_args: dict[str, Any], ctx: RunContext[Any], tool: ToolsetTool[Any]
    ) -> Any:
        ctx = replace(ctx, deps=self.make_deps())
        return await super().call_tool(name, tool_args, ctx, tool)


@dataclass(frozen=True, slots=True)
class _Decided:
    """A decision in the framework's form, with remarks of the person for the model."""

    result: ToolApproved | ToolDenied
    remarks: str = ""
    is_edited: bool = False


async def _approve(
    ctx: RunContext[Any], policy: Policy, call: ToolCallPart, arguments: JsonObject, note: str
) -> _Decided:
    """Ask people about a call; approve exactly the arguments that they saw, or edited."""
    schema = ctx.tools[call.tool_name].parameters_json_schema
    described = ToolCallDescription(call.tool_name, arguments, schema, note)
    validate = partial(_validate, ctx, call)
    decision = await ask_approval(Context.get(), policy, described, validate=validate)
    if decision is None:
        return _Decided(ToolApproved(override_args=arguments))
    if not decision.approved:
        return _Decided(ToolDenied(refusal(decision)))
    approved = ToolApproved(override_args=decision.arguments)
    return _Decided(approved, remarks(decision), is_edited=bool(decision.changed))


async def _deny(context: Context, tool: str, problem: str) -> _Decided:
    """Deny a call with the problem that prevents it, or with a person's refusal of it."""
    decision = await decided_before(context, tool)
    if decision is None or decision.approved:
        return _Decided(ToolDenied(problem))
    return _Decided(ToolDenied(refusal(decision)))


async def _validate(
    ctx: RunContext[Any], call: ToolCallPart, written: JsonObject
) -> tuple[JsonObject, str]:
    """Validate arguments as the framework does; see `Validate`.

    The framework has no validator for a tool with only a JSON schema: the schema is used.
    """
    manager: Any = ctx.tool_manager  # never None: the framework sets it in every run
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
    """Return whether a tool's validator accepts any arguments, as for MCP servers."""
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
    """Validate arguments that were dumped to JSON after their first validation.

    Raises:
        ValueError: the author's validator accepts only the form that models write.
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
    """Return validated arguments as JSON from which the same values are validated.

    Defaults without a JSON form are left to the function.

    Raises:
        ValueError: there is no such JSON.
    """
    values, tool = validated.validated_args or {}, validated.tool
    dumped: JsonObject = as_json(values)
    properties = tool.tool_def.parameters_json_schema.get("properties", {}) if tool else {}
    [first, *others] = [*dumped, ""]
    if others == [""] and first not in properties and isinstance(dumped[first], dict):
        dumped = dumped[first]  # the only parameter is a model: show the model's fields
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

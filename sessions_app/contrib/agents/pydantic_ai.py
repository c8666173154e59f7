"""Agents of Pydantic AI as workflows: unchanged, durable, and with approvals by people.

It needs `[pydantic-ai]`. Each request to a model and each call of a tool is a step, by the
interface that the package has for engines of durable execution.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Sequence
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, ClassVar
from uuid import UUID

from django.core.exceptions import ImproperlyConfigured

from sessions_app.contrib.agents.approvals import make_call
from sessions_app.contrib.agents.language_model import behind, no_answer
from sessions_app.contrib.agents.tools import (
    Policies,
    Policy,
    ToolCallDescription,
    as_text,
    policy_of,
)
from sessions_app.errors import StepFailed
from sessions_app.json_types import JsonObject
from sessions_app.models import JournalEntry
from sessions_app.settings import RuntimeSettings
from sessions_app.storage.storable import measure, storable
from sessions_app.workflows import Context, Message, PastMessage, Reasoning, workflow
from sessions_app.workflows.context import current_context
from sessions_app.workflows.steps import EACH_VALUE, running_step
from sessions_app.workflows.streams import StreamedText

try:
    from pydantic_ai import (
        Agent,
        AgentStreamEvent,
        ModelMessagesTypeAdapter,
        PartDeltaEvent,
        PartStartEvent,
        RunContext,
        TextPart,
        TextPartDelta,
        ThinkingPart,
        ThinkingPartDelta,
        UsageLimitExceeded,
        UsageLimits,
    )
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
    from pydantic_ai.messages import ModelMessage, ModelRequest, ModelResponse, UserPromptPart

    from sessions_app.contrib.agents.pydantic_ai_approvals import Approvals
except ImportError as error:
    raise ImproperlyConfigured(
        "sessions_app.contrib.agents.pydantic_ai needs Pydantic AI 2.60 or newer, below 3: "
        "pip install 'django-durable-hitl[pydantic-ai]'"
    ) from error

# The name of the step that keeps the messages of a run for those after it.
MESSAGES = "pydantic_ai messages"
# What a model's stream gives meanwhile, inside the step that records it.
_live: ContextVar["asyncio.Queue[str | Reasoning | None] | None"] = ContextVar(
    "_live", default=None
)


@dataclass(frozen=True, slots=True)
class Recorded:
    """The whole response of a model as JSON, the last piece of its stream."""

    response: JsonObject


def pydantic_ai_workflow(
    agent: "Agent[Any, Any]", *, name: str, title: str, **options: Any
) -> None:
    """Host an agent of Pydantic AI as a workflow.

    Args:
        agent: the agent as it is. Each toolset that it was given needs an `id`.
        name: the workflow's name; `title` is what people see.
        options: further arguments of `HostedAgent` and of `workflow`.
    """
    names = ("deps", "approvals", "history", "usage_limits")
    own = {one: options.pop(one) for one in names if one in options}
    hosted = HostedAgent(agent, name, **own)

    @workflow(name=name, title=title, **options)
    async def answer(message: Message, context: Context) -> str:
        return await hosted.run(context)


class HostedAgent:
    """An agent of Pydantic AI whose runs are durable."""

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
            agent: the agent as it is.
            name: the first part of the names of its steps; replay knows them by it.
            deps: makes the agent's dependencies; it is called again for each call of a tool, and
                by replay.
            approvals: who allows the calls that need approval: one policy for all, or one by the
                name of a tool. A tool that is not named asks the owner of the conversation.
            history: how many earlier messages of the conversation the agent gets.
            usage_limits: as of `Agent.run`; by default the framework's, 50 requests to the model.

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

        Where a model cannot be asked, or a limit is reached, the text says so.
        """
        past = await context.history(self._history)
        earlier = await context.step(read_messages, past, name="pydantic_ai history")
        durability = Durability(name=self._name, approvals=self._approvals)
        make_deps = partial(self._deps, context) if self._deps else None
        try:
            result = await self._agent.run(
                context.input_message,
                message_history=ModelMessagesTypeAdapter.validate_python(earlier),
                deps=make_deps() if make_deps else None,
                usage_limits=self._usage_limits,
                capabilities=[durability, Approvals(self._approvals, make_deps)],
            )
        except StepFailed as error:
            if f"{self._name}__model." not in error.step:
                raise
            return no_answer(error, apart=durability.texts.has_said)
        except UsageLimitExceeded as error:
            return behind(f"I stop here. {error}", apart=durability.texts.has_said)
        usage = result.usage
        context.add_usage(
            prompt_tokens=usage.input_tokens or 0, completion_tokens=usage.output_tokens or 0
        )
        messages = partial(_as_json, result.new_messages())
        with suppress(StepFailed):  # they are too long: later runs get the texts
            await context.step(messages, name=MESSAGES)
        return durability.texts.last(result.output)


class Durability(BaseDurabilityCapability[Any]):
    """The capability that makes requests to models and calls of tools steps of the run."""

    engine_spec: ClassVar = DurabilityEngineSpec(
        engine_name="django-durable-hitl",
        durable_unit_noun="step",
        durable_container_noun="workflow",
        codec=JSON_CODEC,
        # One after another, so that the order of steps does not depend on which is faster.
        sequential_tools_in_durable_context=True,
    )

    def __init__(self, *, name: str, approvals: Policies) -> None:
        super().__init__(name=name, event_stream_handler=_give_live)
        self._approvals = approvals
        self.texts = _Texts()

    @property
    def in_durable_context(self) -> bool:
        """True in the workflow, and not in a step of it."""
        return current_context.get() is not None and running_step.get() is None

    def get_default_run_id(self) -> str | None:
        """Return the id of the run, which replay has again."""
        return Context.get().run_id if self.in_durable_context else None

    def get_default_conversation_id(self, run_id: str) -> str | None:
        """Return an id that follows from the run's."""
        return conversation_id_from_run_id(run_id) if self.in_durable_context else None

    async def get_run_start_time(self, run_id: str) -> datetime | None:
        """Return the recorded time."""
        return Context.get().now() if self.in_durable_context else None

    def get_durable_operation_backend(self) -> "_Steps":
        """Return what executes the operations of the agent."""
        return _Steps(self.name, self._approvals, self.texts)


@dataclass
class _Texts:
    """The texts of a run so far: a later one stands apart from them."""

    said: str = ""

    @property
    def has_said(self) -> bool:
        """True if people have read a text."""
        return bool(self.said)

    def last(self, output: object) -> str:
        """Return an output for people: JSON, if it is no text; a text that they lack."""
        text = as_text(output)
        if isinstance(output, str) and self.said.endswith(text):
            return StreamedText(text)
        return behind(text, apart=self.has_said)


class _Steps(JournalCallableOperationBackend[None]):
    """The execution of an agent's operations as steps of the run."""

    def __init__(self, agent_name: str, approvals: Policies, texts: _Texts) -> None:
        config = RoleBasedOperationConfig(model=None, event=None, capability=None, tool=None)
        super().__init__(agent_name=agent_name, config=config)
        self._approvals = approvals
        self._texts = texts

    async def execute(
        self,
        *,
        operation_id: DurableOperationId,
        name: str,
        body: Callable[[], Awaitable[object]],
        cache_key: tuple[object, ...],
        config: None,
    ) -> object:
        """Execute an operation in a step, or take its result from the journal."""
        context = Context.get()
        if isinstance(operation_id, EventStreamHandlerId):
            return await body()  # events of tools: nothing outside comes of them
        if isinstance(operation_id, ModelRequestId) and operation_id.streaming:
            source = _ModelStream(body, apart=self._texts.has_said)
            piece: str | Reasoning | Recorded | None = None
            async for piece in context.stream(source.pieces, name=name):
                self._texts.said += piece if isinstance(piece, str) else ""
            return piece.response if isinstance(piece, Recorded) else None
        if isinstance(operation_id, ToolsetCallToolId):
            return await self._call_tool(context, name, body, cache_key)
        return await context.step(_Unit(body).run, name=name)

    async def _call_tool(
        self,
        context: Context,
        name: str,
        body: Callable[[], Awaitable[object]],
        cache_key: tuple[Any, ...],
    ) -> object:
        tool, arguments, run_context, *_ = cache_key
        call = ToolCallDescription(tool, arguments, {})
        once = bool(run_context.tool_call_approved)
        unit, policy = partial(_Unit(body).run, arguments), policy_of(self._approvals, tool)
        result = await make_call(context, policy, call, unit, name=name, once=once)
        return {"kind": "tool_return", "result": result} if isinstance(result, str) else result


class _Unit:
    """An operation as the function of a step."""

    def __init__(self, body: Callable[[], Awaitable[Any]]) -> None:
        self._body = body

    async def run(self, *_arguments: object) -> Any:
        """Execute the operation; the arguments are for the record."""
        return storable(await self._body())


class _ModelStream:
    """A streamed request to a model, as the function of a streamed step."""

    def __init__(self, body: Callable[[], Awaitable[Any]], *, apart: bool) -> None:
        self._body = body
        self._apart = apart

    async def pieces(self) -> AsyncGenerator[str | Reasoning | Recorded, None]:
        """Yield text and thoughts as they come, and at last the whole response."""
        live: asyncio.Queue[str | Reasoning | None] = asyncio.Queue()
        token = _live.set(live)
        request = asyncio.create_task(self._request(live))
        _live.reset(token)
        try:
            apart = self._apart
            while (piece := await live.get()) is not None:
                if apart and isinstance(piece, str):
                    yield "\n\n"
                    apart = False
                yield piece
            yield Recorded(storable(await request))
        finally:
            request.cancel()

    async def _request(self, live: "asyncio.Queue[str | Reasoning | None]") -> Any:
        try:
            return await self._body()
        finally:
            live.put_nowait(None)


async def _give_live(
    _run_context: "RunContext[Any]", events: AsyncIterable[AgentStreamEvent]
) -> None:
    """Give what people see of a model's stream to the step that records it."""
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


def read_messages(past: Sequence[PastMessage]) -> list[JsonObject]:
    """Return the messages of earlier runs: as their agent kept them, else their texts. Reads.

    As many of the latest as fit into the result of a step.
    """
    runs = list(dict.fromkeys(one.run for one in past))
    ids = [UUID(run) for run in runs]
    rows = JournalEntry.objects.filter(run__in=ids, name=MESSAGES, error__isnull=True)
    kept = {str(run): result for run, result in rows.values_list("run", "result")}
    limit = RuntimeSettings.load().MAX_STEP_RESULT
    messages: list[JsonObject] = []
    for run in reversed(runs):
        texts = [_of_text(one) for one in past if one.run == run]
        earlier = [*(kept.get(run) or _as_json(texts)), *messages]
        if measure(earlier, limit, each=EACH_VALUE) > limit:
            break
        messages = earlier
    return messages


def _of_text(past: PastMessage) -> ModelMessage:
    if past.role == "user":
        return ModelRequest(parts=[UserPromptPart(past.text)])
    return ModelResponse(parts=[TextPart(past.text)])


def _as_json(messages: list[ModelMessage]) -> list[JsonObject]:
    dumped: list[JsonObject] = ModelMessagesTypeAdapter.dump_python(messages, mode="json")
    return [storable(message) for message in dumped]

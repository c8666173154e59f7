"""Graphs of LangGraph as workflows: unchanged, durable, and with their interrupts asked of people.

It needs `[langgraph]`. Each super-step of a graph is a step of the run. The graph's own state is in
rows of the run (`graph_checkpoints`): a super-step that a crash cut goes on from there, so that a
node that has finished does not run again.
"""

from collections.abc import AsyncGenerator, Callable, Collection, Mapping
from copy import copy
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.utils.version import get_version_tuple

from sessions_app.contrib.agents.graph_prompts import PendingInterrupt, ask_interrupts
from sessions_app.contrib.agents.language_model import behind
from sessions_app.contrib.agents.tools import Policies, Policy, as_json, as_text
from sessions_app.json_types import JsonObject
from sessions_app.workflows import Context, Message, workflow
from sessions_app.workflows.execution import store

NEEDED = (
    "sessions_app.contrib.agents.langgraph needs LangGraph 1.2.20 or newer, below 2: "
    "pip install 'django-durable-hitl[langgraph]'"
)

try:
    from langchain_core.messages import (
        AIMessage,
        AIMessageChunk,
        HumanMessage,
        convert_to_messages,
    )
    from langchain_core.runnables import RunnableConfig
    from langgraph.graph import START as START_NODE
    from langgraph.types import Command, Interrupt, StateSnapshot

    from sessions_app.contrib.agents.graph_breakpoints import (
        UNSEEN,
        AnyGraph,
        Breakpoint,
        UnseenBreakpoints,
        check_breakpoints,
        find_breakpoints,
        may_go_on,
        places,
    )
    from sessions_app.contrib.agents.graph_checkpoints import GraphCheckpoints
except ImportError as error:
    raise ImproperlyConfigured(NEEDED) from error
# Before, all interrupts of a node had one id, so that an answer could be taken for the next one.
if get_version_tuple(version("langgraph")) < (1, 2, 20):
    raise ImproperlyConfigured(NEEDED)

# Builds the input of a graph.
BuildInput = Callable[[Context, list[Any]], Any]
# Builds the runtime context of a graph.
BuildContext = Callable[[Context], Any]


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of a super-step: what waits for people, or the graph's output if it is over.

    `number` is that of the last super-step that all tasks have finished, `finished` are those tasks
    of the next one that have.
    """

    number: int
    finished: list[str]
    interrupts: list[PendingInterrupt]
    is_over: bool = False
    output: str = ""
    breakpoints: list[Breakpoint] = field(default_factory=list)


# Before the first super-step.
START = Outcome(-1, [], [])


def messages_input(context: Context, earlier: list[Any]) -> JsonObject:
    """Return the input of a graph whose state has `messages`, as most agents have."""
    return {"messages": [*earlier, HumanMessage(str(context.input_message))]}


def langgraph_workflow(graph: "AnyGraph", *, name: str, title: str, **options: Any) -> None:
    """Host a compiled graph as a workflow.

    Args:
        graph: the graph as it is; a checkpointer that it has is not used.
        name: the workflow's name; `title` is what people see.
        options: further arguments of `HostedGraph` and of `workflow`.

    Raises:
        ImproperlyConfigured: people cannot be asked at a breakpoint of the graph.
    """
    names = ("build_input", "build_context", "approvals", "history")
    own = {one: options.pop(one) for one in names if one in options}
    hosted = HostedGraph(graph, name, **own)

    @workflow(name=name, title=title, **options)
    async def answer(message: Message, context: Context) -> str:
        return await hosted.run(context)


class HostedGraph:
    """A graph of LangGraph whose runs are durable."""

    def __init__(
        self,
        graph: "AnyGraph",
        name: str,
        *,
        build_input: BuildInput = messages_input,
        build_context: BuildContext | None = None,
        approvals: Policies = Policy(),  # noqa: B008 - it is frozen
        history: int = 20,
    ) -> None:
        """Take a graph as it is.

        Args:
            graph: the compiled graph.
            name: the name of its steps; replay knows them by it.
            build_input: makes the graph's input of the context and of earlier messages; replay
                calls it again.
            build_context: makes the runtime context of a graph with a `context_schema`; replay
                calls it again. Without it the graph has none.
            approvals: who answers an interrupt about an action: one policy for all, or one by the
                name of the action. The owner of the conversation answers all else.
            history: how many earlier messages of the conversation the graph gets.

        Raises:
            ImproperlyConfigured: people cannot be asked at a breakpoint of the graph.
        """
        check_breakpoints(graph)
        self._graph = graph
        self._name = name
        self._build_input = build_input
        self._build_context = build_context
        self._approvals = approvals
        self._history = history

    async def run(self, context: Context) -> str:
        """Drive the graph to its end, and return its output as text."""
        earlier = [
            HumanMessage(one.text) if one.role == "user" else AIMessage(one.text)
            for one in await context.history(self._history)
        ]
        start = self._build_input(context, earlier)
        runtime_context = self._build_context(context) if self._build_context else None
        thread = _Thread(self._graph, context.run_id, start, runtime_context)
        answers: dict[str, Any] = {}
        passed: set[str] = set()
        outcome, said = START, ""
        while not outcome.is_over:
            superstep = _Superstep(thread, outcome, answers, passed, has_said=bool(said))
            stream = context.stream(superstep.pieces, name=self._name)
            [*texts, last] = [piece async for piece in stream]
            said += "".join(text for text in texts if isinstance(text, str))
            if not isinstance(last, Outcome):
                raise TypeError("a super-step ends with its outcome")
            outcome = last
            if outcome.breakpoints and not await may_go_on(context, outcome.breakpoints):
                return behind(f"Stopped {places(outcome.breakpoints)}.", apart=bool(said))
            passed.update(one.id for one in outcome.breakpoints)
            answers |= await ask_interrupts(context, self._approvals, outcome.interrupts)
        return behind(outcome.output, apart=bool(said) and not said.endswith(outcome.output))


class _Thread:
    """A graph with the checkpoints of a run, its input, and its runtime context."""

    def __init__(self, graph: "AnyGraph", run_id: str, start: Any, context: Any) -> None:
        self.checkpoints = GraphCheckpoints(store)
        self.graph = copy(graph)  # `graph.copy()` loses the classes that its state may have
        self.graph.checkpointer = self.checkpoints
        self.config: RunnableConfig = {"configurable": {"thread_id": run_id}}
        self.start = start
        self.context = context


class _Superstep:
    """The super-step behind an outcome, as the function of a step.

    `answers` are to interrupts, `passed` the breakpoints behind which the graph may go on.
    `has_said`: people have read a text, from which others stand apart.
    """

    def __init__(
        self,
        thread: _Thread,
        before: Outcome,
        answers: Mapping[str, Any],
        passed: Collection[str],
        *,
        has_said: bool,
    ) -> None:
        self._graph = thread.graph
        self._checkpoints = thread.checkpoints
        self._config = thread.config
        self._start = thread.start
        self._context = thread.context
        self._before = before
        self._answers = answers
        self._passed = passed
        self._has_said = has_said
        self._unseen = UnseenBreakpoints()

    async def pieces(self) -> AsyncGenerator[str | Outcome, None]:
        """Yield the text of models as it comes, and at last the outcome.

        Tasks that had finished when a crash cut the super-step do not speak again: their text is in
        what they have written.
        """
        state = await self._graph.aget_state(self._config)
        is_done = _number(state) > self._before.number
        place = state.parent_config if is_done else state.config
        for task, value in await self._checkpoints.awritten(place):
            if task not in self._before.finished:
                for text in _texts_of(value):
                    yield self._begin(text)
        # A crash may have come before a breakpoint was recorded: the next call would pass it.
        goes_on = not is_done and not await self._breakpoints(state)
        if goes_on:
            async for text in self._texts(self._next_input(state)):
                yield text
            state = await self._graph.aget_state(self._config)
        finished = [task for task, _ in await self._checkpoints.awritten(state.config)]
        interrupts = [
            _pending(one) for one in state.interrupts if goes_on or one.id not in self._answers
        ]
        is_over = not state.interrupts and not state.next
        output = _output(state.values, self._start) if is_over else ""
        breakpoints = await self._breakpoints(state)
        if self._unseen.has_stopped and not breakpoints:
            raise RuntimeError(UNSEEN)
        yield Outcome(_number(state), finished, interrupts, is_over, output, breakpoints)

    async def _breakpoints(self, state: StateSnapshot) -> list[Breakpoint]:
        """Return the breakpoints at which the graph stands and may not go on yet."""
        found = await find_breakpoints(self._graph, state)
        return [one for one in found if one.id not in self._passed]

    async def _texts(self, start: Any) -> AsyncGenerator[str, None]:
        """Execute one super-step, and yield the text of models."""
        stream = self._graph.astream(
            start,
            {**self._config, "callbacks": [self._unseen]},
            context=self._context,
            stream_mode="messages",
            durability="sync",
            # Not "*", which leaves hidden nodes out.
            interrupt_after=[node for node in self._graph.nodes if node != START_NODE],
            subgraphs=True,
        )
        part: Any
        begun: set[str | None] = set()
        async for part in stream:  # a namespace, and a message with its metadata
            message = part[1][0]
            if isinstance(message, AIMessageChunk) and (text := str(message.text)):
                yield text if message.id in begun else self._begin(text)
                begun.add(message.id)

    def _begin(self, text: str) -> str:
        """Return the beginning of a model's text, apart from what was said before."""
        beginning = behind(text, apart=self._has_said)
        self._has_said = True
        return beginning

    def _next_input(self, state: StateSnapshot) -> Any:
        """Return what the graph is to be called with, where it stands now.

        Answers are for interrupts that still wait: a crash may have come after one was used.
        """
        if state.created_at is None:
            return self._start
        waiting = {one.id for one in state.interrupts}
        answers = {one: self._answers[one] for one in waiting & self._answers.keys()}
        return Command(resume=answers) if answers else None


def _number(state: StateSnapshot) -> int:
    """Return the number of the last finished super-step; -1 before the first one."""
    return int((state.metadata or {}).get("step", START.number))


def _texts_of(value: Any) -> list[str]:
    """Return the texts of the messages of a model in what a task has written."""
    values = value if isinstance(value, list) else [value]
    return [str(one.text) for one in values if isinstance(one, AIMessage) and one.text]


def _pending(interrupt: Interrupt) -> PendingInterrupt:
    schema = getattr(interrupt, "response_schema", None)  # older versions have none
    shown = as_json(schema) if isinstance(schema, dict) else {}
    return PendingInterrupt(interrupt.id, as_json(interrupt.value), shown)


def _output(values: Any, start: Any) -> str:
    """Return the output of a graph: its last message, else all of its values as JSON.

    It is "" where the last message is one of the person's, which is part of the input.
    """
    messages = values.get("messages") if isinstance(values, dict) else None
    if not messages:
        return as_text(values)
    last = messages[-1]
    is_given = isinstance(last, HumanMessage) and last.content in _contents(start)
    return "" if is_given else as_text(str(last.text))


def _contents(start: Any) -> list[Any]:
    """Return the contents of the messages in the input of a graph."""
    given = start.get("messages") if isinstance(start, dict) else getattr(start, "messages", None)
    messages = given if isinstance(given, list) else [given]
    return [one.content for one in convert_to_messages([one for one in messages if one])]

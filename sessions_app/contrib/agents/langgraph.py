"""Graphs of LangGraph as workflows: unchanged, durable, with interrupts as prompts to people.

Requires `[langgraph]`. Each super-step of a graph is a step of the run. The graph's state is in
rows of the run (`graph_checkpoints`), from which an interrupted super-step continues, so that a
finished node does not run again.
"""

import json
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Callable,
    Collection,
    Iterator,
    Mapping,
    Sequence,
)
from copy import copy
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.utils.version import get_version_tuple

from sessions_app.contrib.agents.approvals import ask_to_go_on
from sessions_app.contrib.agents.graph_answers import AnswerTypes, answer_schemas
from sessions_app.contrib.agents.graph_prompts import PendingInterrupt, ask_interrupts
from sessions_app.contrib.agents.language_model import with_files, with_separator
from sessions_app.contrib.agents.tools import Policies, Policy, as_json, as_text, question_text
from sessions_app.json_types import JsonObject
from sessions_app.workflows import Context, Message, workflow
from sessions_app.workflows.execution import store

NEEDED = (
    "sessions_app.contrib.agents.langgraph needs LangGraph 1.2.20 or newer, below 2: "
    "pip install 'django-durable-hitl[langgraph]'"
)

try:
    from langchain_core.callbacks import BaseCallbackHandler
    from langchain_core.messages import (
        AIMessage,
        AIMessageChunk,
        HumanMessage,
        ToolMessage,
        convert_to_messages,
    )
    from langchain_core.runnables import RunnableConfig
    from langgraph.errors import GraphInterrupt
    from langgraph.graph import START as START_NODE
    from langgraph.pregel import Pregel
    from langgraph.types import Command, Interrupt, StateSnapshot

    from sessions_app.contrib.agents.graph_checkpoints import GraphCheckpoints, Written
    from sessions_app.contrib.agents.graph_history import GIVEN, past_messages
except ImportError as error:
    raise ImproperlyConfigured(NEEDED) from error
# Earlier versions of LangGraph gave all interrupts of a node the same id, so that an answer could
# be used for the next interrupt.
if get_version_tuple(version("langgraph")) < (1, 2, 20):
    raise ImproperlyConfigured(NEEDED)

AnyGraph = Pregel[Any, Any, Any, Any]
# A function that builds the input of a graph from the context and earlier messages.
BuildInput = Callable[[Context, list[Any]], Any]
# A function that builds the runtime context of a graph.
BuildContext = Callable[[Context], Any]

UNSEEN = (
    "A graph that a node or a tool calls stopped at a breakpoint of its own, about which nobody "
    "can be asked here. Add that graph as a node, or have it call interrupt() instead."
)

# Number of checkpoints that a graph keeps: after a crash, a super-step reads its own and the last.
KEPT = 3
STUCK = (
    "A super-step of the graph led to the checkpoint at which it had begun, so the graph would "
    "repeat it for ever. Nodes that did not finish: {}."
)


@dataclass(frozen=True, slots=True)
class Breakpoint:
    """A breakpoint at which a graph has stopped; `id` is the id of the checkpoint there.

    `place` names nodes, as in "before pay". `calls` are the tool calls of a model's last answer
    that have no result yet, each with its arguments as JSON.
    """

    id: str
    place: str
    calls: list[tuple[str, str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class SuperstepEnd:
    """The state of a graph after a super-step: open questions, or the final output.

    `number` is the last super-step in which all tasks are finished; `finished` lists the finished
    tasks of the next one.
    """

    number: int
    finished: list[str]
    interrupts: list[PendingInterrupt]
    is_over: bool = False
    output: str = ""
    breakpoints: list[Breakpoint] = field(default_factory=list)


# The state of a graph before its first super-step.
BEFORE_FIRST = SuperstepEnd(-1, [], [])


def messages_input(context: Context, earlier: list[Any]) -> JsonObject:
    """Return the input for a graph with `messages` in its state, as most agents have."""
    text = with_files(str(context.input_message), context.files)
    return {"messages": [*earlier, HumanMessage(text)]}


def langgraph_workflow(graph: AnyGraph, *, name: str, title: str, **options: Any) -> None:
    """Host a compiled graph as a workflow.

    Args:
        graph: the unchanged graph; its own checkpointer is not used.
        name: the workflow's name; `title` is shown to people.
        options: further arguments of `HostedGraph` and of `workflow`.

    Raises:
        ImproperlyConfigured: people cannot be asked at a breakpoint of the graph, or `answers` has
            an unusable type.
    """
    names = ("build_input", "build_context", "approvals", "answers", "history")
    own = {one: options.pop(one) for one in names if one in options}
    hosted = HostedGraph(graph, name, **own)

    @workflow(name=name, title=title, **options)
    async def answer(message: Message, context: Context) -> str:
        return await hosted.run(context)


class HostedGraph:
    """A graph of LangGraph that a workflow executes durably."""

    def __init__(  # noqa: PLR0913 - a declaration, read like a form
        self,
        graph: AnyGraph,
        name: str,
        *,
        build_input: BuildInput = messages_input,
        build_context: BuildContext | None = None,
        approvals: Policies = Policy(),  # noqa: B008 - it is frozen
        answers: AnswerTypes = None,
        history: int = 20,
    ) -> None:
        """Prepare to host a graph, which is not changed.

        Args:
            graph: the compiled graph.
            name: the name of the graph's steps in the journal.
            build_input: builds the graph's input from the context and earlier messages; replay
                calls it again.
            build_context: builds the runtime context for a graph with a `context_schema`; replay
                calls it again. By default there is none.
            approvals: the policy for interrupts about an action: one for all, or one by the
                action's name. The owner of the conversation answers all other interrupts.
            answers: the type of what all other interrupts return: one for all, or one by the name
                of a node of the graph. An interrupt's own `response_schema` has precedence. With
                neither, nobody is asked, and the run is suspended.
            history: number of earlier messages of the conversation for the graph.

        Raises:
            ImproperlyConfigured: people cannot be asked at a breakpoint of the graph, or `answers`
                has an unusable type or names an unknown node.
        """
        _check_breakpoints(graph)
        self._schemas = answer_schemas(answers, graph.nodes)
        self._graph = graph
        self._name = name
        self._build_input = build_input
        self._build_context = build_context
        self._approvals = approvals
        self._history = history

    async def run(self, context: Context) -> str:
        """Drive the graph to its end, and return its output as text."""
        past = await context.history(self._history)
        graph = copy(self._graph)  # `graph.copy()` would lose the classes allowed in the state
        graph.checkpointer = checkpoints = GraphCheckpoints(store, kept=KEPT)
        start = self._build_input(context, await past_messages(graph, past))
        runtime_context = self._build_context(context) if self._build_context else None
        config: RunnableConfig = {
            "configurable": {"thread_id": context.run_id},
            "metadata": {GIVEN: len(_contents(start))},
        }
        answers: dict[str, Any] = {}
        passed: set[str] = set()
        behind_outcome = partial(
            _Superstep, graph, checkpoints, config, start, runtime_context, answers, passed
        )
        outcome, said = BEFORE_FIRST, ""
        while not outcome.is_over:
            superstep = behind_outcome(outcome, has_said=bool(said))
            stream: AsyncIterator[Any] = context.stream(superstep.pieces, name=self._name)
            [*texts, outcome] = [piece async for piece in stream]
            said += "".join(texts)
            if outcome.breakpoints and not await _may_go_on(context, outcome.breakpoints):
                return with_separator(
                    f"Stopped {_name_breakpoints(outcome.breakpoints)}.", apart=bool(said)
                )
            passed.update(one.id for one in outcome.breakpoints)
            answers |= await ask_interrupts(
                context, self._approvals, self._schemas, outcome.interrupts
            )
        return with_separator(
            outcome.output, apart=bool(said) and not said.endswith(outcome.output)
        )


class _UnseenBreakpoints(BaseCallbackHandler):
    """A callback that notes if a graph, called by a node, stopped at a breakpoint."""

    run_inline = True
    has_stopped = False

    def on_chain_error(self, error: BaseException, **_options: Any) -> None:
        """Note an interrupt without a question, which is a breakpoint."""
        if isinstance(error, GraphInterrupt) and not any(error.args):
            self.has_stopped = True


@dataclass(eq=False)
class _Superstep:
    """The next super-step of a graph, as the function of a step of the run.

    `answers` are for interrupts; the breakpoints in `passed` no longer stop the graph. With
    `has_said`, further text is separated from text that people have seen.
    """

    graph: AnyGraph
    checkpoints: GraphCheckpoints
    config: RunnableConfig
    start: Any
    context: Any
    answers: Mapping[str, Any]
    passed: Collection[str]
    before: SuperstepEnd
    has_said: bool
    unseen: _UnseenBreakpoints = field(default_factory=_UnseenBreakpoints)

    async def pieces(self) -> AsyncGenerator[str | SuperstepEnd, None]:
        """Yield the models' text while it is generated, and finally the outcome.

        Tasks that finished before a crash do not run again; their text comes from their stored
        writes.
        """
        state = await self.graph.aget_state(self.config)
        is_done = _number(state) > self.before.number
        config = state.parent_config if is_done else state.config
        written = await self.checkpoints.awritten(config)
        for task, value in written.values:
            if task not in self.before.finished:
                for text in _texts_of(value):
                    yield self._begin(text)
        # After a crash, the graph may be at a breakpoint that the journal lacks: stop there, too.
        goes_on = not is_done and not await self._breakpoints(state)
        before = state.config
        if goes_on:
            async for text in self._texts(self._next_input(state, written)):
                yield text
            state = await self.graph.aget_state(self.config)
        written = await self.checkpoints.awritten(state.config)
        interrupts = [
            one for one in _interrupts(state, written) if goes_on or one.id not in self.answers
        ]
        is_over = not interrupts and not state.next
        output = _output(state.values, self.start) if is_over else ""
        breakpoints = await self._breakpoints(state)
        if self.unseen.has_stopped and not breakpoints:
            raise RuntimeError(UNSEEN)
        if goes_on and state.config == before and not (interrupts or is_over or breakpoints):
            raise RuntimeError(STUCK.format(", ".join(state.next)))
        finished = [task for task, _ in written.values]
        yield SuperstepEnd(_number(state), finished, interrupts, is_over, output, breakpoints)

    async def _breakpoints(self, state: StateSnapshot) -> list[Breakpoint]:
        """Return the breakpoints where the graph has stopped, except passed ones."""
        if not _has_breakpoints(self.graph) or not state.next:
            return []
        breakpoints = await _find_breakpoints(self.graph, self.graph, state)
        return [one for one in breakpoints if one.id not in self.passed]

    async def _texts(self, start: Any) -> AsyncGenerator[str, None]:
        """Execute one super-step, and yield the models' text."""
        stream = self.graph.astream(
            start,
            {**self.config, "callbacks": [self.unseen]},
            context=self.context,
            stream_mode="messages",
            durability="sync",
            # Interrupt after every node; "*" would omit hidden nodes.
            interrupt_after=[node for node in self.graph.nodes if node != START_NODE],
            subgraphs=True,
        )
        part: Any
        begun: set[str | None] = set()
        async for part in stream:  # each item: (namespace, (message, metadata))
            message = part[1][0]
            if isinstance(message, AIMessageChunk) and (text := str(message.text)):
                yield text if message.id in begun else self._begin(text)
                begun.add(message.id)

    def _begin(self, text: str) -> str:
        """Return the first piece of a model's text, with a separator if other text precedes."""
        beginning = with_separator(text, apart=self.has_said)
        self.has_said = True
        return beginning

    def _next_input(self, state: StateSnapshot, written: Written) -> Any:
        """Return the input for the next super-step.

        Only answers for open interrupts are used, as others may have been used before a crash.
        """
        if state.created_at is None:
            return self.start
        waiting = {one.id for one in _interrupts(state, written)}
        answers = {one: self.answers[one] for one in waiting & self.answers.keys()}
        return Command(resume=answers) if answers else None


def _number(state: StateSnapshot) -> int:
    """Return the number of the last finished super-step; -1 before the first one."""
    return int((state.metadata or {}).get("step", BEFORE_FIRST.number))


def _texts_of(value: Any) -> list[str]:
    """Return the texts of a model's messages in a task's written value."""
    values = value if isinstance(value, list) else [value]
    return [str(one.text) for one in values if isinstance(one, AIMessage) and one.text]


def _interrupts(state: StateSnapshot, written: Written) -> list[PendingInterrupt]:
    """Return the open interrupts of a super-step.

    LangGraph's state does not have those of a node's error handler; they go by the failed node.
    """
    pending = [_pending(one, task.name) for task in state.tasks for one in task.interrupts]
    failed = ", ".join(task.name for task in state.tasks if task.error is not None)
    handlers = written.interrupts_of_others([task.id for task in state.tasks])
    return [*pending, *(_pending(one, failed) for one in handlers)]


def _pending(interrupt: Interrupt, node: str) -> PendingInterrupt:
    schema = getattr(interrupt, "response_schema", None)  # older LangGraph versions have no schema
    shown = as_json(schema) if isinstance(schema, dict) else {}
    return PendingInterrupt(interrupt.id, as_json(interrupt.value), shown, node)


def _output(values: Any, start: Any) -> str:
    """Return the output of a graph: its last message, or else all values as JSON.

    The output is empty if the last message is from the input: the graph has added none.
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


def _has_breakpoints(graph: object) -> bool:
    if not isinstance(graph, Pregel):
        return False
    has_own = bool(graph.interrupt_before_nodes or graph.interrupt_after_nodes)
    return has_own or any(_has_breakpoints(subgraph) for _, subgraph in graph.get_subgraphs())


def _check_breakpoints(graph: AnyGraph) -> None:
    """Check that people can be asked at each breakpoint of a graph.

    Raises:
        ImproperlyConfigured: a subgraph with breakpoints keeps no state.
    """
    for name, node in graph.nodes.items():
        subgraph = node.bound
        if not isinstance(subgraph, Pregel):
            continue
        if subgraph.checkpointer is False and _has_breakpoints(subgraph):
            raise ImproperlyConfigured(
                f"The subgraph {name!r} has breakpoints and checkpointer=False, so that it cannot "
                "wait for a person. Compile it without one of the two."
            )
        _check_breakpoints(subgraph)


async def _may_go_on(context: Context, breakpoints: Sequence[Breakpoint]) -> bool:
    calls = [call for one in breakpoints for call in one.calls]
    details = {
        f"{number}. {name}": {"code": arguments}
        for number, (name, arguments) in enumerate(calls, 1)
    }
    text = question_text(f"I have stopped {_name_breakpoints(breakpoints)}. Shall I go on?")
    return await ask_to_go_on(context, text, details)


def _name_breakpoints(breakpoints: Sequence[Breakpoint]) -> str:
    return " and ".join(dict.fromkeys(one.place for one in breakpoints))


async def _find_breakpoints(
    root: AnyGraph, graph: AnyGraph, state: StateSnapshot
) -> list[Breakpoint]:
    """Return the breakpoints where a graph and its subgraphs, all within `root`, have stopped."""
    description = await _name_breakpoint(root, graph, state)
    breakpoints = []
    if description:
        checkpoint = state.config["configurable"]["checkpoint_id"]
        breakpoints.append(Breakpoint(checkpoint, description, list(_open_calls(state.values))))
    subgraphs = {name: one for name, one in graph.get_subgraphs() if _has_breakpoints(one)}
    for task in state.tasks:
        subgraph = subgraphs.get(task.name)
        if isinstance(subgraph, Pregel) and isinstance(task.state, dict) and task.result is None:
            inner = await root.aget_state(task.state)
            breakpoints += await _find_breakpoints(root, subgraph, inner)
    return breakpoints


async def _name_breakpoint(root: AnyGraph, graph: AnyGraph, state: StateSnapshot) -> str:
    """Return where a graph has stopped at a breakpoint, as in "before pay", or ""."""
    before, after = graph.interrupt_before_nodes, graph.interrupt_after_nodes
    following = set(state.next) - {START_NODE}
    if following and _is_named(before, following):
        return f"before {', '.join(sorted(following))}"
    if not after or not state.parent_config:
        return ""
    finished = {task.name for task in (await root.aget_state(state.parent_config)).tasks} - {
        START_NODE
    }
    if not _is_named(after, finished):
        return ""
    preposition = "before" if following else "after"
    return f"{preposition} {', '.join(sorted(following or finished))}"


def _is_named(breakpoints: Sequence[str], nodes: set[str]) -> bool:
    return bool(nodes) if breakpoints == "*" else not nodes.isdisjoint(breakpoints)


def _open_calls(values: Any) -> Iterator[tuple[str, str]]:
    """Yield the tool calls of a model's last answer that have no result yet."""
    for messages in values.values() if isinstance(values, dict) else ():
        if not isinstance(messages, list):
            continue
        answers = [one for one in messages if isinstance(one, AIMessage)]
        finished = {one.tool_call_id for one in messages if isinstance(one, ToolMessage)}
        for call in answers[-1].tool_calls if answers else ():
            if call["id"] not in finished:
                text = json.dumps(call["args"], ensure_ascii=False, indent=2, default=str)
                # Escape half surrogate pairs, which cannot be stored.
                yield call["name"], text.encode(errors="backslashreplace").decode()

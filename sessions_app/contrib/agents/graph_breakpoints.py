"""The breakpoints of a graph, at which a person says whether the graph goes on.

LangGraph stops at a breakpoint without asking anything, and goes on with the next call. A subgraph
has breakpoints of its own.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage, ToolMessage
from langgraph.errors import GraphInterrupt
from langgraph.graph import START
from langgraph.pregel import Pregel
from langgraph.types import StateSnapshot

from sessions_app.contrib.agents.approvals import ask_to_go_on
from sessions_app.contrib.agents.tools import question_text
from sessions_app.workflows import Context

AnyGraph = Pregel[Any, Any, Any, Any]

UNSEEN = (
    "A graph that a node or a tool calls stopped at a breakpoint of its own, about which nobody "
    "can be asked here. Add that graph as a node, or have it call interrupt() instead."
)


@dataclass(frozen=True, slots=True)
class Breakpoint:
    """A breakpoint at which a graph stands; its `id` is that of the checkpoint.

    `place` names nodes, as in "before pay". `calls` are the tool calls of the last answer of a
    model that have no result yet, each with its arguments as JSON.
    """

    id: str
    place: str
    calls: list[tuple[str, str]] = field(default_factory=list)


def has_breakpoints(graph: object) -> bool:
    """Return whether a graph or a subgraph of it has breakpoints."""
    if not isinstance(graph, Pregel):
        return False
    has_own = bool(graph.interrupt_before_nodes or graph.interrupt_after_nodes)
    return has_own or any(has_breakpoints(subgraph) for _, subgraph in graph.get_subgraphs())


def check_breakpoints(graph: AnyGraph) -> None:
    """Check that people can be asked at each breakpoint of a graph.

    Raises:
        ImproperlyConfigured: a subgraph with breakpoints keeps no state.
    """
    for name, node in graph.nodes.items():
        subgraph = node.bound
        if not isinstance(subgraph, Pregel):
            continue
        if subgraph.checkpointer is False and has_breakpoints(subgraph):
            raise ImproperlyConfigured(
                f"The subgraph {name!r} has breakpoints and checkpointer=False, so that it cannot "
                "wait for a person. Compile it without one of the two."
            )
        check_breakpoints(subgraph)


async def find_breakpoints(graph: AnyGraph, state: StateSnapshot) -> list[Breakpoint]:
    """Return the breakpoints at which a graph and its subgraphs stand."""
    if not has_breakpoints(graph) or not state.next:
        return []
    return await _find(graph, graph, state)


async def may_go_on(context: Context, breakpoints: Sequence[Breakpoint]) -> bool:
    """Ask the owner of the conversation whether a graph goes on behind its breakpoints."""
    calls = [call for one in breakpoints for call in one.calls]
    details = {
        f"{number}. {name}": {"code": arguments}
        for number, (name, arguments) in enumerate(calls, 1)
    }
    text = question_text(f"I have stopped {places(breakpoints)}. Shall I go on?")
    return await ask_to_go_on(context, text, details)


def places(breakpoints: Sequence[Breakpoint]) -> str:
    """Return the places of breakpoints as a text."""
    return " and ".join(dict.fromkeys(one.place for one in breakpoints))


class UnseenBreakpoints(BaseCallbackHandler):
    """A record of whether a graph that a node calls has stopped at a breakpoint of its own."""

    run_inline = True

    def __init__(self) -> None:
        self.has_stopped = False

    def on_chain_error(self, error: BaseException, **_options: Any) -> None:
        """Note a stop that asks nothing."""
        if isinstance(error, GraphInterrupt) and not any(error.args):
            self.has_stopped = True


async def _find(root: AnyGraph, graph: AnyGraph, state: StateSnapshot) -> list[Breakpoint]:
    """Return the breakpoints at which a graph within `root` stands, its subgraphs' included."""
    place = await _place(root, graph, state)
    found = []
    if place:
        checkpoint = state.config["configurable"]["checkpoint_id"]
        found.append(Breakpoint(checkpoint, place, list(_open_calls(state.values))))
    subgraphs = {name: one for name, one in graph.get_subgraphs() if has_breakpoints(one)}
    for task in state.tasks:
        subgraph = subgraphs.get(task.name)
        if isinstance(subgraph, Pregel) and isinstance(task.state, dict) and task.result is None:
            inner = await root.aget_state(task.state)
            found += await _find(root, subgraph, inner)
    return found


async def _place(root: AnyGraph, graph: AnyGraph, state: StateSnapshot) -> str:
    """Return the place of the breakpoint at which a graph stands; "" for none."""
    before, after = graph.interrupt_before_nodes, graph.interrupt_after_nodes
    following = set(state.next) - {START}
    if following and _is_named(before, following):
        return f"before {_names(following)}"
    if not after or not state.parent_config:
        return ""
    finished = {task.name for task in (await root.aget_state(state.parent_config)).tasks} - {START}
    if not _is_named(after, finished):
        return ""
    return f"before {_names(following)}" if following else f"after {_names(finished)}"


def _is_named(breakpoints: Sequence[str], nodes: set[str]) -> bool:
    return bool(nodes) if breakpoints == "*" else not nodes.isdisjoint(breakpoints)


def _names(nodes: set[str]) -> str:
    return ", ".join(sorted(nodes))


def _open_calls(values: Any) -> Iterator[tuple[str, str]]:
    """Yield the tool calls of the last answer of a model that have no result yet."""
    for messages in values.values() if isinstance(values, dict) else ():
        if not isinstance(messages, list):
            continue
        answers = [one for one in messages if isinstance(one, AIMessage)]
        finished = {one.tool_call_id for one in messages if isinstance(one, ToolMessage)}
        for call in answers[-1].tool_calls if answers else ():
            if call["id"] not in finished:
                yield call["name"], _letters(call["args"])


def _letters(arguments: object) -> str:
    """Return arguments as JSON in which each character can be stored."""
    text = json.dumps(arguments, ensure_ascii=False, indent=2, default=str)
    return text.encode(errors="backslashreplace").decode()

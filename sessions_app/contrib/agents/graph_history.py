"""The messages of earlier runs for a graph, from the state in which their graphs ended."""

from collections.abc import Sequence
from typing import Any

from langchain_core.messages import (
    AIMessage,
    AnyMessage,
    BaseMessage,
    HumanMessage,
    ToolMessage,
)
from langchain_core.runnables import RunnableConfig
from langgraph.pregel import Pregel
from langgraph.types import StateSnapshot

from sessions_app.contrib.agents.language_model import with_files
from sessions_app.contrib.agents.tools import as_text, cut
from sessions_app.logs import Log
from sessions_app.workflows import PastMessage

log = Log(__name__)

# Metadata of a checkpoint: the number of messages in the input of the graph.
GIVEN = "given_messages"
MAX_STATE = 20_000  # maximum characters of a state without messages, as a message
NOT_RECORDED = (
    "The answer was stopped before this call had a result. It is not known whether it was done."
)


async def past_messages(
    graph: "Pregel[Any, Any, Any, Any]", past: Sequence[PastMessage]
) -> list[AnyMessage]:
    """Return messages of earlier runs, with their tool calls and results where a graph has them.

    A state without messages is the text of a run that has none, as it is of a run that completes.
    """
    messages: list[AnyMessage] = []
    for run in dict.fromkeys(one.run for one in past):
        of_run = [one for one in past if one.run == run]
        messages += [
            HumanMessage(with_files(one.text, one.files)) for one in of_run if one.role == "user"
        ]
        texts: list[AnyMessage] = [AIMessage(one.text) for one in of_run if one.role != "user"]
        if "messages" in graph.channels or not texts:
            messages += await _own_messages(graph, run) or texts
        else:
            messages += texts
    return messages


async def _own_messages(graph: "Pregel[Any, Any, Any, Any]", run: str) -> list[AnyMessage]:
    """Return the messages that the graph of an earlier run has added; empty if there are none."""
    config: RunnableConfig = {"configurable": {"thread_id": run}}
    try:
        state = await graph.aget_state(config)
    except Exception as error:
        # The state may be of another version of the graph. The texts of the run remain.
        log.warning("graph.past_state_not_read", run=run, exc_info=error)
        return []
    if state.created_at is None:
        return []
    values = state.values
    if not isinstance(values, dict) or "messages" not in values:
        return [AIMessage(cut(as_text(values), MAX_STATE))]
    return _with_results(values["messages"][_number_given(state, values["messages"]) :])


def _number_given(state: StateSnapshot, messages: Sequence[BaseMessage]) -> int:
    """Return how many messages of a state are of its input; a graph may have removed some."""
    people = [number for number, one in enumerate(messages, 1) if isinstance(one, HumanMessage)]
    last = people[-1] if people else 0
    metadata: dict[str, Any] = {**(state.metadata or {})}
    return min(last, int(metadata.get(GIVEN, last)))


def _with_results(messages: Sequence[AnyMessage]) -> list[AnyMessage]:
    """Return the messages with a result for each call, as model servers demand."""
    known = {one.tool_call_id for one in messages if isinstance(one, ToolMessage)}
    whole: list[AnyMessage] = []
    for message in messages:
        whole.append(message)
        calls = message.tool_calls if isinstance(message, AIMessage) else ()
        whole += [
            ToolMessage(NOT_RECORDED, tool_call_id=call["id"])
            for call in calls
            if call["id"] not in known
        ]
    return whole

"""The tool calls of earlier runs, as a model reads them: executed arguments, result and remarks."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sessions_app.contrib.agents.approvals import UNKNOWN, refusal, remarks
from sessions_app.contrib.agents.tools import as_text
from sessions_app.json_types import JsonObject
from sessions_app.workflows import CallState, PastCall

STOPPED = "It was not made: the answer was stopped before."


@dataclass(frozen=True, slots=True)
class DoneCall:
    """A tool call of an earlier run; `id` is the same in every later request."""

    id: str
    tool: str
    arguments: JsonObject
    result: str


def done_calls(calls: Iterable[PastCall], run: str) -> list[DoneCall]:
    """Return the tool calls among the steps of a run: those with one object as the argument."""
    done: list[DoneCall] = []
    for number, call in enumerate(calls):
        arguments = _arguments(call)
        if arguments is not None:
            tool = call.name.rpartition(".call_tool:")[2]  # as a step of Pydantic AI is named
            done.append(DoneCall(f"call_{run[:8]}_{number}", tool, arguments, call_result(call)))
    return done


def _arguments(call: PastCall) -> JsonObject | None:
    match call.arguments:
        case [dict() as arguments]:
            return arguments
        case str(text) if text.startswith("[{"):
            return {"arguments": text}  # the record is cut
    return None


def call_result(call: PastCall) -> str:
    """Return the outcome of a call as text for a model."""
    match call.state:
        case CallState.REFUSED if call.approval is not None:
            return refusal(call.approval)
        case CallState.NOT_MADE | CallState.REFUSED:
            return STOPPED
        case CallState.FAILED:
            text = f"That failed ({call.error})."
        case CallState.CUT_OFF:
            text = f"{UNKNOWN} A person says: {call.said}" if call.said else UNKNOWN
        case CallState.DONE:
            text = as_text(_value(call.result))
    return f"{text}{remarks(call.approval)}"


def _value(result: Any) -> Any:
    """Return the value in a recorded result, which Pydantic AI and nested calls wrap."""
    match result:
        case {"kind": "tool_return", "result": value} | [value]:
            return value
    return result

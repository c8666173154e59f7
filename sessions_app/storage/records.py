"""The records that travel between the log and its readers."""

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sessions_app.json_types import JsonObject


class ParentCall(NamedTuple):
    """The call that began a child run: the parent run, and the call's position in its journal."""

    run: UUID
    position: int


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A run as the log knows it: nothing of this ever changes. See `models.Run`."""

    id: UUID
    conversation_id: UUID
    message_id: str
    client_format: str
    parent: ParentCall | None = None


class EventRecord(NamedTuple):
    """An event as it is handed round: the row, and what a frame needs of its run."""

    conversation: UUID
    run: UUID
    message_id: str
    client_format: str
    first_sequence: int
    sequence: int
    type: str
    payload: JsonObject
    created_at: datetime
    # Characters of the payload as JSON, where it was just written.
    size: int = 0


@dataclass(frozen=True, slots=True)
class InteractionSettled:
    """News for a host: an interaction of one of its runs has its final status.

    `response` is `{"value": a value}` or `{"values": [values]}`, None where there is no response.
    """

    run: UUID
    interaction: UUID
    status: str
    response: JsonObject | None
    by: str | None
    at: datetime


def step_payload(run: UUID, position: int, title: str, state: str, payload: str) -> JsonObject:
    """Build the payload of a `step` event."""
    return {"step_id": f"{run}:{position}", "name": title, "state": state, "payload": payload}

"""A new event, with all that is checked and stored together with it.

SQLite does so by one statement after another, PostgreSQL by one: see `store_event` of both.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from django.db import models

from sessions_app.json_types import JsonObject

LEASE = "SELECT generation, evict_requested_at FROM sessions_app_hostlease WHERE key = %s"
# Stands for the event's sequence number among the values of an `Insert`.
SEQUENCE = object()


@dataclass(frozen=True, slots=True)
class Insert:
    """A row to insert."""

    model: type[models.Model]
    values: JsonObject


@dataclass(frozen=True, slots=True)
class Update:
    """New values for the rows whose columns equal `where`."""

    model: type[models.Model]
    values: JsonObject
    where: JsonObject


Changes = Sequence[Insert | Update]


class NewEvent(NamedTuple):
    """An event to store.

    `sequence_query` assigns the sequence number; it returns no row if the conversation is gone.
    `lease`: key and generation of the host's lease, which has to be the current one. `first`: an
    update, which has to change a row. `then`: changes of further rows, made after the event.
    """

    sequence_query: str
    sequence_values: tuple[object, ...]
    values: tuple[object, ...]
    lease: tuple[str, int] | None
    first: Update | None
    then: Changes


class StoredEvent(NamedTuple):
    """The sequence number of a stored event, None if not stored; and the lease, if it was read."""

    sequence: int | None
    generation: int = 0
    evict_requested_at: object = None

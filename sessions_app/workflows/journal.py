"""The journal of a run: recall what is recorded, or find out that the code no longer matches."""

from dataclasses import dataclass
from hashlib import blake2b
from typing import Any
from uuid import UUID

from pydantic_core import to_json

from sessions_app.errors import NonDeterminism
from sessions_app.models import Interaction, JournalEntry
from sessions_app.storage.storable import storable

# The kind of a call that asks; the others are those of `JournalEntry`.
ASK = "ask"


@dataclass(frozen=True, slots=True)
class Call:
    """What the workflow asks for at a position."""

    position: int
    kind: str
    name: str
    fingerprint: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name} ({self.fingerprint[:8]})"


@dataclass(frozen=True, slots=True)
class Entry:
    """What is recorded at a position. For an `ask`, `interaction` is its row."""

    call: Call
    result: Any
    error: dict[str, Any] | None
    sequence: int
    finished: bool
    interaction: UUID | None = None
    by: str | None = None
    is_default: bool = False
    settled_at: Any = None


@dataclass(frozen=True, slots=True)
class CallResult:
    """What a call came to; with a title it is a step that people see, `payload` is its markdown."""

    result: Any = None
    error: dict[str, Any] | None = None
    title: str = ""
    payload: str = ""


def digest(*values: Any) -> str:
    """A fingerprint of arguments: of their JSON, and of the class where a value has none."""
    return fingerprint(
        to_json(
            _in_order(values),
            fallback=lambda value: type(value).__qualname__,
            inf_nan_mode="strings",
            bytes_mode="base64",
        )
    )


def fingerprint(json: bytes) -> str:
    """That of what is JSON already."""
    return blake2b(json, digest_size=16).hexdigest()


def _in_order(value: Any) -> Any:
    """The value with its sets sorted: they have another order in each process.

    Half of a surrogate pair has no JSON.
    """
    if isinstance(value, set | frozenset):
        return sorted((_in_order(one) for one in value), key=repr)
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, list | tuple):
        return [_in_order(one) for one in value]
    if isinstance(value, dict):
        return {name: _in_order(one) for name, one in value.items()}
    return value


class Journal:
    """The recorded past of one run, as it was when its host took it up."""

    def __init__(self, entries: dict[int, Entry]) -> None:
        self._entries = entries

    @classmethod
    def load(cls, run: UUID) -> "Journal":
        """Read it. Blocks: call it in a transaction or a thread."""
        asked = Interaction.objects.filter(run_id=run).select_related("answered_by")
        entries = [
            *map(_of_row, JournalEntry.objects.filter(run_id=run)),
            *map(_of_interaction, asked),
        ]
        return cls({entry.call.position: entry for entry in entries})

    @property
    def last_sequence(self) -> int:
        """The log's sequence at the last entry: output up to there is replayed silently."""
        return max((entry.sequence for entry in self._entries.values()), default=0)

    @property
    def last_position(self) -> int:
        """The highest recorded position; 0 for an empty journal (the first is 1)."""
        return max(self._entries, default=0)

    @property
    def finished(self) -> int:
        """How many positions replay takes from the record."""
        return sum(entry.finished for entry in self._entries.values())

    def recall(self, call: Call) -> Entry | None:
        """What is recorded at the call's position, if anything.

        Raises:
            NonDeterminism: something else is recorded there.
        """
        entry = self._entries.get(call.position)
        if entry is None:
            return None
        if entry.call != call:
            raise NonDeterminism(call.position, recorded=str(entry.call), called=str(call))
        return entry

    def check_complete(self, position: int) -> None:
        """The workflow came to its end at this position.

        Raises:
            NonDeterminism: the journal goes on behind it.
        """
        if self.last_position > position:
            entry = self._entries[self.last_position]
            raise NonDeterminism(entry.call.position, recorded=str(entry.call), called="the end")


def _of_row(row: JournalEntry) -> Entry:
    call = Call(row.position, row.kind, row.name, row.fingerprint)
    return Entry(call, row.result, row.error, row.sequence, row.finished_at is not None)


def _of_interaction(row: Interaction) -> Entry:
    return Entry(
        Call(row.position, ASK, row.name, row.fingerprint),
        row.response,
        None,
        row.sequence,
        finished=row.status in (Interaction.Status.ANSWERED, Interaction.Status.EXPIRED),
        interaction=row.id,
        by=row.answered_by.get_username() if row.answered_by else None,
        is_default=row.status == Interaction.Status.EXPIRED,
        settled_at=row.answered_at,
    )

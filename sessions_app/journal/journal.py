"""The journal of a run: returns recorded calls, or finds that the code no longer matches them."""

import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from hashlib import blake2b
from typing import Any, Self, TypeVar
from uuid import UUID, uuid5

from django.db.models import Max
from pydantic_core import to_json

from sessions_app.errors import NonDeterminism, OutcomeUnknown, ResultRefused, for_people
from sessions_app.journal.tracks import track_of
from sessions_app.json_types import JsonObject
from sessions_app.models import Interaction, JournalEntry
from sessions_app.storage.storable import storable

T = TypeVar("T")

# Kind of a call of `ask`, which is stored as an `Interaction`; `JournalEntry` has the other kinds.
ASK = "ask"
WAIT_VERSION = 5
STREAM = JournalEntry.Kind.STREAM.value
# Maximum characters of a call's recorded arguments, and of a changed value in a message.
MAX_ARGUMENTS = 500
MAX_SAID = 100
# JSON key in a call's stored error, for the return annotation that the call's result violated.
REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Call:
    """A workflow's call at a position of its journal. A replay compares kind and name.

    `arguments` are JSON, made by `describe_arguments`; an `ask` has its prompt instead. `place` (a
    track and a number, see `tracks`) is empty until the workflow gathers coroutines.
    """

    position: int
    kind: str
    name: str
    arguments: str = ""
    place: str = ""

    @property
    def track(self) -> str:
        """The name of the call's track: a gathered coroutine, or (empty) the workflow itself."""
        return track_of(self.place)

    @property
    def number(self) -> int:
        """The call's number in its track, from 1."""
        return int(self.place.rpartition(":")[2]) if self.place else self.position

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


@dataclass(frozen=True, slots=True)
class JournalRecord:
    """A journal entry: the record of one call. For an `ask`, `interaction` is the row's id.

    `sequence`: the number of the last event in the log when the entry was stored. `difference`: how
    the call of an earlier replay differed from the record; informational.
    """

    call: Call
    result: Any
    error: JsonObject | None
    sequence: int
    finished: bool
    interaction: UUID | None = None
    by: str | None = None
    is_default: bool = False
    settled_at: datetime | None = None
    prompt: JsonObject | None = None
    difference: str = ""


@dataclass(frozen=True, slots=True)
class CallResult:
    """The result or the error of a call.

    A call with a title is a step that people see, and `payload` is its Markdown. `last_position`:
    the position of the last call of the same track when the call failed. `attempts`: how often
    the step's function was called.
    """

    result: Any = None
    error: JsonObject | None = None
    title: str = ""
    payload: str = ""
    last_position: int | None = None
    attempts: int = 1

    @classmethod
    def of_error(cls, error: BaseException, title: str) -> Self:
        """Make the result of a call that raised this error."""
        message, text = str(error)[:2000], for_people(error, "It")[:2000]
        reason: JsonObject = {"type": type(error).__name__, "message": message}
        if text == message:
            reason["is_public"] = True
        if notes := notes_of(error):
            reason["notes"] = notes
        return cls(error=reason, title=title, payload=text)

    @classmethod
    def refused(cls, error: ResultRefused, title: str) -> Self:
        """Make the result of a call that has run, but whose return value cannot be stored."""
        name = type(error).__name__
        reason = {"type": name, "message": str(error)[:2000], REFUSED: error.annotation}
        message = "It has run, and its result cannot be stored."
        return cls(error.kept, reason, title=title, payload=message)

    @classmethod
    def unknown(cls, title: str) -> Self:
        """Make the result of a `once` call without a stored result: it must not be repeated."""
        message = "It was begun, and its process ended before its result was stored."
        reason = {"type": OutcomeUnknown.__name__, "message": message, "is_public": True}
        return cls(error=reason, title=title, payload=message)


def wait_id(run: UUID, position: int) -> UUID:
    """Return a wait's id, made from run and journal position, and used like an interaction's id."""
    return uuid5(run, str(position))


def is_wait(id_: UUID) -> bool:
    """Return whether an id belongs to a wait; interactions have random ids."""
    return id_.version == WAIT_VERSION


def last_positions(run: UUID) -> dict[str, int]:
    """Read the highest recorded position of each track of a run.

    The workflow's own track is always included, with 0 if nothing is recorded.
    """
    last = {"": 0}
    for model in (JournalEntry, Interaction):
        rows = model.objects.filter(run_id=run, position__isnull=False).values("place")
        for place, position in rows.annotate(last=Max("position")).values_list("place", "last"):
            track = track_of(place)
            last[track] = max(last.get(track, 0), position)
    return last


def describe_arguments(*values: object) -> str:
    """Return arguments as JSON for a record; a value without a JSON form becomes its class name.

    A long text is cut; a digest of the whole text then reveals differences after the cut.
    """
    json = to_json(
        _in_order(values),
        fallback=lambda value: type(value).__qualname__,
        inf_nan_mode="strings",
        bytes_mode="base64",
    )
    text = json.decode()
    if len(text) <= MAX_ARGUMENTS:
        return text
    return f"{text[:MAX_ARGUMENTS]}…{blake2b(json, digest_size=16).hexdigest()}"


def difference(old_arguments: str, new_arguments: str) -> str:
    """Describe how a call's arguments differ from the recorded arguments; empty if equal."""
    if old_arguments == new_arguments:
        return ""
    if (
        len(old_arguments) > MAX_ARGUMENTS
        and old_arguments[:MAX_ARGUMENTS] == new_arguments[:MAX_ARGUMENTS]
    ):
        return f"the arguments differ behind their first {MAX_ARGUMENTS} characters"
    return _change("the arguments", old_arguments[:MAX_ARGUMENTS], new_arguments[:MAX_ARGUMENTS])


def prompt_difference(old_prompt: JsonObject, new_prompt: JsonObject) -> str:
    """Describe how a prompt differs from the recorded one, field by field."""
    fields = [
        name for name in old_prompt | new_prompt if old_prompt.get(name) != new_prompt.get(name)
    ]
    return "; ".join(
        _change(name, *map(_field_text, (old_prompt, new_prompt), [name] * 2)) for name in fields
    )


def _field_text(prompt: JsonObject, field: str) -> str:
    return to_json(prompt[field]).decode() if field in prompt else "nothing"


def _change(subject: str, old_text: str, new_text: str) -> str:
    # Begin both quotations shortly before the first difference.
    common_length = next(
        (n for n, (a, b) in enumerate(zip(old_text, new_text, strict=False)) if a != b), 0
    )
    start = common_length - MAX_SAID // 4 if common_length > MAX_SAID // 2 else 0
    old_excerpt, new_excerpt = (
        f"{'…' * (start > 0)}{text[start:][:MAX_SAID]}{'…' * (len(text) > start + MAX_SAID)}"
        for text in (old_text, new_text)
    )
    return f"{subject}: {old_excerpt} became {new_excerpt}"


def read_recorded(read: Callable[[Any], T], recorded: Any, call: Call) -> T:
    """Convert the recorded value of a call by `read`, a function of the current code.

    Raises:
        NonDeterminism: the current code cannot convert the value.
    """
    try:
        return read(recorded)
    except ValueError as error:
        reason = " ".join(str(error).split())[:MAX_ARGUMENTS]
    change = f"what is recorded cannot be read ({reason})"
    raise NonDeterminism(call.position, change, recorded_call=str(call), new_call=str(call))


def with_notes(error: BaseException) -> str:
    """Return the message of an error with its added notes."""
    return " ".join([str(error), *notes_of(error)])


def notes_of(error: BaseException) -> list[str]:
    """Return the notes added to an error; other code may have set `__notes__` to anything."""
    notes = getattr(error, "__notes__", None)
    return [str(note)[:1000] for note in notes] if isinstance(notes, list) else []


def line_of(error: BaseException) -> str:
    """Name the line of the workflow author's code at which an error occurred, or return "".

    For an error with a cause, such as an error of a step, name the line of the cause.
    """
    if error.__cause__ is not None and (line := line_of(error.__cause__)):
        return line
    author_line = ""
    for frame, number in traceback.walk_tb(error.__traceback__):
        module = str(frame.f_globals.get("__name__"))
        is_library = module.partition(".")[0] in ("sessions_app", *sys.stdlib_module_names)
        # Prefer a line outside of site-packages. Authors may install their workflows as a package,
        # so a line in site-packages counts, too, if there is no other.
        if not is_library and not (author_line and "site-packages" in frame.f_code.co_filename):
            author_line = f"{module}:{number} in {frame.f_code.co_name}()"
    return author_line


def _in_order(value: object) -> object:
    """Return the value with sorted sets, because the order of a set differs between processes.

    Lone surrogates have no JSON form, and reading an iterator would exhaust it: both are replaced.
    """
    if isinstance(value, Iterator):
        return type(value).__qualname__
    if isinstance(value, set | frozenset):
        return sorted((_in_order(element) for element in value), key=repr)
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, list | tuple):
        return [_in_order(element) for element in value]
    if isinstance(value, dict):
        return {name: _in_order(element) for name, element in value.items()}
    return value


class Journal:
    """The recorded calls of one run, read from the database when a host starts the run."""

    def __init__(
        self, entries: dict[int, JournalRecord], patches: Mapping[str, int] | None = None
    ) -> None:
        self._entries = entries
        self._places = {e.call.place: e.call.position for e in entries.values() if e.call.place}
        cut = [e for e in entries.values() if e.call.kind == STREAM and not e.finished]
        self._cut_stream = min(cut, key=lambda entry: entry.call.position, default=None)
        self.patches = dict(patches or {})
        self._unpatched: set[str] = set()

    @classmethod
    def load(cls, run: UUID, patches: Mapping[str, int] | None = None) -> "Journal":
        """Read the journal of a run. Blocks: call in a transaction or a thread."""
        interactions = Interaction.objects.filter(run_id=run, position__isnull=False)
        entries = [
            *map(_of_row, JournalEntry.objects.filter(run_id=run)),
            *map(_of_interaction, interactions.select_related("answered_by")),
        ]
        return cls({entry.call.position: entry for entry in entries}, patches)

    @property
    def entries(self) -> list[JournalRecord]:
        """The entries, sorted by position."""
        return [self._entries[position] for position in sorted(self._entries)]

    @property
    def last_sequence(self) -> int:
        """The sequence number of the log up to which a replay stores no text again.

        This is the number of the last entry; or of the start of an interrupted stream,
        because in the log the text of the stream is mixed with later entries.
        """
        if self._cut_stream is not None:
            return self._cut_stream.sequence
        return max((entry.sequence for entry in self._entries.values()), default=0)

    @cached_property
    def output_replayed_until(self) -> int:
        """The number of the workflow's own call up to which the output text is already stored."""
        return self.calls[""] if self._cut_stream is None else self._cut_stream.call.number

    @cached_property
    def calls(self) -> dict[str, int]:
        """The number of recorded calls by track; the workflow's own track is always included."""
        calls = {"": 0}
        for call in (entry.call for entry in self._entries.values()):
            calls[call.track] = max(calls.get(call.track, 0), call.number)
        return calls

    @cached_property
    def last_position(self) -> int:
        """The highest recorded position; 0 for an empty journal (the first is 1)."""
        return max(self._entries, default=0)

    @property
    def finished_calls(self) -> int:
        """The number of calls that a replay answers from the journal."""
        return sum(entry.finished for entry in self._entries.values())

    def position_of(self, place: str, after: int) -> int:
        """Return the recorded position of a place in a track, or a new position above `after`."""
        return self._places.get(place) or max(after, self.last_position) + 1

    def entry_at(self, position: int) -> JournalRecord | None:
        """Return the entry at a position, if any."""
        return self._entries.get(position)

    def recall(self, call: Call) -> JournalRecord | None:
        """Return the entry at the call's position, if any.

        Raises:
            NonDeterminism: another call is recorded at the position.
        """
        entry = self._entries.get(call.position)
        if entry is None:
            return None
        recorded_call = entry.call
        for field, old_value, new_value in (
            ("kind", recorded_call.kind, call.kind),
            ("name", recorded_call.name, call.name),
            ("place", recorded_call.place, call.place),
        ):
            if old_value != new_value:
                change = f"the {field} was {old_value!r} and is {new_value!r} now"
                raise NonDeterminism(
                    call.position, change, recorded_call=str(recorded_call), new_call=str(call)
                )
        return entry

    def patched(self, why: str, calls: int) -> bool | None:
        """Return whether a run that has made this number of calls uses a change of its code.

        None means that no execution of the run has come this far yet: the caller then records that
        the run uses the change from this number of calls on.
        """
        since = self.patches.get(why)
        if since is not None:
            return calls >= since
        if calls < self.calls[""]:
            self._unpatched.add(why)
        return False if why in self._unpatched else None

    def first_beyond(self, calls: Mapping[str, int]) -> JournalRecord | None:
        """Return the first entry that a replay with these numbers of calls has not reached."""
        beyond = [
            entry
            for entry in self._entries.values()
            if entry.call.number > calls.get(entry.call.track, entry.call.number)
        ]
        return min(beyond, key=lambda entry: entry.call.position, default=None)

    def check_complete(self, calls: Mapping[str, int], end: str = "comes to its end") -> None:
        """Check that no track has more recorded entries than the given number of calls.

        `end`: a phrase for the error's message that says how the workflow ended.

        Raises:
            NonDeterminism: the journal has further entries.
        """
        if (first := self.first_beyond(calls)) is not None:
            change = f"the workflow {end} before it"
            recorded_call = str(first.call)
            raise NonDeterminism(
                first.call.position, change, recorded_call=recorded_call, new_call="the end"
            )


def _of_row(row: JournalEntry) -> JournalRecord:
    return JournalRecord(
        Call(row.position, row.kind, row.name, row.arguments, row.place),
        row.result,
        row.error,
        row.sequence,
        finished=row.finished_at is not None,
        difference=row.difference,
    )


def _of_interaction(row: Interaction) -> JournalRecord:
    return JournalRecord(
        Call(row.position or 0, ASK, row.name, place=row.place),
        row.response,
        None,
        row.sequence,
        finished=row.status in (Interaction.Status.ANSWERED, Interaction.Status.EXPIRED),
        interaction=row.id,
        by=_answerer(row),
        is_default=row.status == Interaction.Status.EXPIRED,
        settled_at=row.answered_at,
        prompt=row.prompt,
        difference=row.difference,
    )


def _answerer(row: Interaction) -> str | None:
    """Return the user name of the person who answered; if deleted, the name in the last vote."""
    if row.answered_by is not None:
        return row.answered_by.get_username()
    votes: list[JsonObject] = (row.response or {}).get("votes", [])
    return votes[-1]["by"] if votes else None

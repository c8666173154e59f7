"""The following of a run: its events as they come, and its result.

All functions poll the database, first often and then twice a second, so they work in any process.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from math import inf
from uuid import UUID

from django.db import connection

from sessions_app.conversations.run_parts import RESTING
from sessions_app.errors import NotFound
from sessions_app.models import Event, Run
from sessions_app.storage import caller_thread, reads
from sessions_app.storage.records import EventRecord, read_records, trim
from sessions_app.storage.run_text import text_of
from sessions_app.storage.sql import read_id

MIN_PAUSE, MAX_PAUSE = 0.02, 0.5  # minimum and maximum seconds between two queries
EVENTS_PER_READ = 100


@dataclass(frozen=True, slots=True)
class RunResult:
    """The result of a run: its status, whole output text, and error.

    `error` has a `code` and a `message` if the run failed or is suspended. An operator may resume
    such a run, which then gets another result.
    """

    run: UUID
    status: Run.Status
    text: str
    error: dict[str, str] | None


def result(run: UUID | str, timeout: float | None = None) -> RunResult:
    """Wait until the run has ended or is suspended; return its result. Call outside transactions.

    Raises:
        TimeoutError: the run is still active after `timeout` seconds.
        NotFound: there is no such run.
        RuntimeError: the call is in a transaction, for whose commit the run may be waiting.
    """
    pauses = _Pauses(run, timeout)
    while (run_result := _result(read_id(run))) is None:
        _check_outside()
        time.sleep(pauses.next())
    return run_result


async def aresult(run: UUID | str, timeout: float | None = None) -> RunResult:  # noqa: ASYNC109 - as `result`
    """Wait for a run's result as `result` does, from a coroutine."""
    pauses = _Pauses(run, timeout)
    while True:
        if (run_result := await reads.read(_result, read_id(run))) is not None:
            return run_result
        await asyncio.sleep(pauses.next())


def events(
    run: UUID | str, *, after: int = 0, timeout: float | None = None
) -> Iterator[EventRecord]:
    """Yield the run's stored events after a sequence number, then new ones until the run ends.

    Types and payloads are documented in `sessions_app.storage`. Text comes only as events of the
    type `text`. Call this outside of transactions.

    Args:
        after: the sequence number of the last event that the caller has read.
        timeout: seconds to wait for the next event.

    Raises:
        TimeoutError: no event came in that time.
        NotFound: there is no such run.
        RuntimeError: the call is in a transaction, for whose commit the run may be waiting.
    """
    cursor = _Cursor(read_id(run), after)
    pauses = _Pauses(run, timeout)
    while not cursor.ended:
        if page := cursor.read():
            yield from page
            pauses = _Pauses(run, timeout)
        else:
            _check_outside()
            time.sleep(pauses.next())


async def aevents(
    run: UUID | str,
    *,
    after: int = 0,
    timeout: float | None = None,  # noqa: ASYNC109 - as `events`
) -> AsyncIterator[EventRecord]:
    """Yield the run's events as `events` does, from a coroutine."""
    cursor = _Cursor(read_id(run), after)
    pauses = _Pauses(run, timeout)
    while not cursor.ended:
        page = await reads.read(cursor.read)
        for event in page:
            yield event
        if page:
            pauses = _Pauses(run, timeout)
        else:
            await asyncio.sleep(pauses.next())


class _Pauses:
    """The growing pauses between queries of a run, until the timeout."""

    def __init__(self, run: UUID | str, timeout: float | None) -> None:
        self._run, self._timeout = run, timeout
        self._until = inf if timeout is None else time.monotonic() + timeout
        self._pause = MIN_PAUSE / 2

    def next(self) -> float:
        """Return the seconds until the next query; raise TimeoutError after the timeout."""
        if self._timeout is None and caller_thread.is_used():
            raise RuntimeError(caller_thread.NOT_HOSTED)
        seconds = self._until - time.monotonic()
        if seconds <= 0:
            raise TimeoutError(f"Nothing came of run {self._run} in {self._timeout:g} s.")
        self._pause = min(self._pause * 2, MAX_PAUSE)
        return min(self._pause, seconds)


class _Cursor:
    """A reader of a run's events, with its position: the sequence number of the last event read."""

    def __init__(self, run: UUID, after: int) -> None:
        self._run, self._after = run, after
        self.ended = False

    def read(self) -> list[EventRecord]:
        """Return the next events, or an empty list. Blocks."""
        later = Event.objects.filter(run_id=self._run, sequence__gt=self._after)
        records = read_records(later, limit=EVENTS_PER_READ)
        if not records:
            # A finished run without further events: an earlier call returned the final event.
            self.ended = _status(self._run) in Run.FINISHED and not later.exists()
        page = [
            event for record in records if (event := _unread_part(record, self._after)) is not None
        ]
        for last in records[-1:]:
            self._after = last.sequence
            is_end = last.type == Event.Type.RUN and last.payload["status"] in Run.FINISHED
            # Go on after a full page, even with a final event: the run may have been resumed.
            self.ended = is_end and len(records) < EVENTS_PER_READ
        return page


def _unread_part(event: EventRecord, after: int) -> EventRecord | None:
    """Return the unread part of an event, or None; a whole `message` is returned as `text`."""
    if event.type != Event.Type.MESSAGE:
        return event
    text = trim(event, after=after)
    return event._replace(type=Event.Type.TEXT.value, payload={"text": text}) if text else None


def _result(run: UUID) -> RunResult | None:
    """Return the run's result if the run has ended or is suspended, else None. Blocks."""
    if (status := _status(run)) not in RESTING:
        return None
    error = Run.objects.values_list("error", flat=True).get(pk=run)
    public_error = error and {name: error[name] for name in ("code", "message")}
    return RunResult(run, status, text_of(run), public_error)


def _status(run: UUID) -> Run.Status:
    """Return the run's status; raise NotFound if there is no such run."""
    status = Run.objects.filter(pk=run).values_list("status", flat=True).first()
    if status is None:
        raise NotFound("There is no such run.")
    return Run.Status(status)


def _check_outside() -> None:
    if connection.in_atomic_block:
        raise RuntimeError(
            "The run has not ended, and in a transaction nobody can wait for it: others may see "
            "nothing of what is written there. Call this after it."
        )

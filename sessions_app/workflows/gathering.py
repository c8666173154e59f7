"""Concurrent calls or coroutines of a run, with an outcome that does not depend on timing."""

import asyncio
from collections.abc import Mapping, Sequence
from inspect import iscoroutine
from typing import Any

from sessions_app.errors import (
    ConversationGone,
    Fenced,
    NonDeterminism,
    RunEnded,
    StorageUnavailable,
    Unrecorded,
)
from sessions_app.journal.journal import Call
from sessions_app.journal.tracks import current_track
from sessions_app.models import JournalEntry
from sessions_app.storage.faults import is_fault
from sessions_app.workflows.execution import Execution
from sessions_app.workflows.steps import Coro

# Errors that end the run, or this execution of the run.
FATAL = (ConversationGone, Fenced, NonDeterminism, RunEnded, StorageUnavailable, Unrecorded)


def gather(
    execution: Execution, works: Sequence[Coro[object]], *, return_exceptions: bool
) -> Coro[list[Any]]:
    """Gather calls and coroutines, for `Context.gather`.

    The call gets its journal position immediately; the work begins when the result is awaited.
    """
    try:
        call = _gathered_call(execution, works)
    except BaseException:
        _close(works)
        raise
    return _gather(execution, works, call, return_exceptions=return_exceptions)


def _gathered_call(execution: Execution, works: Sequence[Coro[object]]) -> Call | None:
    """Return a journal call for the `gather` itself, if it contains the author's own coroutines.

    Return None if all works are calls of the context: these have positions already.
    """
    names = []
    for work in works:
        if not iscoroutine(work):
            raise TypeError(
                "context.gather() takes calls of the context without await, such as "
                f"context.step(…), and coroutines; {work!r:.100} is neither."
            )
        names.append(work.__qualname__)
    if all(map(execution.is_expected, works)):
        return None
    execution.has_tracks = True
    return execution.call(JournalEntry.Kind.GATHER, f"gather of {len(works)}", *names)


async def _gather(
    execution: Execution,
    works: Sequence[Coro[object]],
    call: Call | None,
    *,
    return_exceptions: bool,
) -> list[object]:
    track = current_track.get()
    tracks = [track] * len(works)
    try:
        if call is not None:
            tracks = execution.begin_tracks(call, len(works))
        outcomes = await _outcomes(execution, works, tracks)
    except asyncio.CancelledError:
        execution.backend.mark_stop_raised(track)
        raise
    finally:
        _close(works)  # close coroutines that were never started
    errors = [outcome.error for outcome in outcomes if isinstance(outcome, _FailedCoroutine)]
    if errors and not return_exceptions:
        raise errors[0]
    return [
        outcome.error if isinstance(outcome, _FailedCoroutine) else outcome for outcome in outcomes
    ]


async def _outcomes(
    execution: Execution, works: Sequence[Coro[object]], tracks: Sequence[str]
) -> list[object]:
    """Await all coroutines concurrently, each in its track; return the outcomes in their order.

    Return or raise only after the last coroutine has ended.
    """
    if not works:
        return []
    tasks = {
        asyncio.create_task(_outcome(execution, work, track)): track
        for work, track in zip(works, tracks, strict=True)
    }
    pending = set(tasks)

    def add_active(change: int) -> None:
        if not execution.is_evicted:
            execution.backend.add_active(change)

    def on_done(task: "asyncio.Task[object]") -> None:
        pending.remove(task)
        # Count a failed task as active: the failure ends the other tasks and the run, so the run
        # must not be stored as waiting for people.
        if pending and _error(task) is None:
            add_active(-1)

    add_active(len(tasks) - 1)
    for task in tasks:
        task.add_done_callback(on_done)
    await _wait_for_all(execution, tasks)
    return [task.result() for task in tasks]


async def _wait_for_all(execution: Execution, tasks: "Mapping[asyncio.Task[object], str]") -> None:
    """Wait until all tasks have ended, even if this wait is cancelled.

    Raises:
        CancelledError: this wait or one of the tasks was cancelled.
    """
    cancellation: asyncio.CancelledError | None = None
    while pending := {task for task in tasks if not task.done()}:
        try:
            done_tasks, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_EXCEPTION)
            is_to_end = any(map(_error, done_tasks))
        except asyncio.CancelledError as error:
            cancellation, is_to_end = error, True
        for task in pending:
            # Do not cancel a track that already cleans up after a stop: it has its own time limit.
            if is_to_end and (
                execution.is_evicted or not execution.backend.has_raised_stop(tasks[task])
            ):
                task.cancel()
    errors = [error for error in map(_error, tasks) if error is not None]
    if cancellation is not None:
        raise cancellation
    if errors:
        raise errors[0]


def _error(task: "asyncio.Task[object]") -> BaseException | None:
    return None if task.cancelled() else task.exception()


class _FailedCoroutine:
    def __init__(self, error: BaseException) -> None:
        self.error = error


async def _outcome(execution: Execution, work: Coro[object], track: str) -> object:
    """Await one gathered coroutine, and check that it has repeated all its recorded calls."""
    is_new = track != current_track.get()
    current_track.set(track)
    try:
        result = await work
        if is_new:
            execution.backend.check_complete({track: execution.calls[track]})
    except FATAL:
        raise
    except (Exception, SystemExit) as error:
        if is_fault(error):
            raise
        return _FailedCoroutine(error)
    return result


def _close(works: Sequence[object]) -> None:
    for work in works:
        if iscoroutine(work):
            work.close()

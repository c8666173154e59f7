"""Several calls or coroutines of a run at once, with one outcome whatever ends first."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from sessions_app.errors import (
    ConversationGone,
    Fenced,
    NonDeterminism,
    RunEnded,
    StorageUnavailable,
    Unrecorded,
)
from sessions_app.storage.faults import is_fault

# What ends the run, or this execution of it.
FATAL = (ConversationGone, Fenced, NonDeterminism, RunEnded, StorageUnavailable, Unrecorded)

Work = Coroutine[Any, Any, Any]


async def gather(
    works: Mapping[Work, str],
    work_by: Callable[[int], None],
    may_cancel: Callable[[str], bool],
    *,
    return_exceptions: bool,
) -> list[Any]:
    """Await all of the work at once, each in the track beside it, and return the results in order.

    This is what `Context.gather` does.

    Args:
        work_by: told how many more of them go on, as they begin and end. Whoever awaits this does
            not, until the last of them is over.
        may_cancel: whether that may be done to a track, where one ends with what is fatal to the
            run, or this is cancelled.
    """
    if not works:
        return []
    tasks = {asyncio.create_task(_outcome(work)): track for work, track in works.items()}
    left = list(tasks)

    def over(task: "asyncio.Task[Any]") -> None:
        left.remove(task)
        if left:
            work_by(-1)

    work_by(len(tasks) - 1)
    for task in tasks:
        task.add_done_callback(over)
    await _all_over(tasks, may_cancel)
    found = [task.result() for task in tasks]
    failed = [one.error for one in found if isinstance(one, _Failed)]
    if failed and not return_exceptions:
        raise failed[0]
    return [one.error if isinstance(one, _Failed) else one for one in found]


async def _all_over(
    tasks: "Mapping[asyncio.Task[Any], str]", may_cancel: Callable[[str], bool]
) -> None:
    """Wait until all tasks are over, also where they are to be cancelled.

    Raises:
        CancelledError: this was cancelled, or one of them.
    """
    cancelled: asyncio.CancelledError | None = None
    while pending := {task for task in tasks if not task.done()}:
        try:
            done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_EXCEPTION)
            is_to_end = any(map(_error, done))
        except asyncio.CancelledError as error:
            cancelled, is_to_end = error, True
        for task in pending:
            if is_to_end and may_cancel(tasks[task]):
                task.cancel()
    errors = [error for error in map(_error, tasks) if error is not None]
    if cancelled is not None:
        raise cancelled
    if errors:
        raise errors[0]


def _error(task: "asyncio.Task[Any]") -> BaseException | None:
    return None if task.cancelled() else task.exception()


class _Failed:
    def __init__(self, error: Exception) -> None:
        self.error = error


async def _outcome(work: Work) -> Any:
    try:
        return await work
    except FATAL:
        raise
    except Exception as error:
        if is_fault(error):
            raise
        return _Failed(error)

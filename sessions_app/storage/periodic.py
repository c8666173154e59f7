"""Periodic work, which continues after a failure."""

import asyncio
from collections.abc import Awaitable, Callable

from sessions_app.errors import StorageUnavailable
from sessions_app.logs import Log

log = Log(__name__)

# Maximum pause in seconds before failed work is repeated, however rarely it usually runs.
LONGEST_AFTER_FAULT = 3600.0


async def repeat(work: Callable[[], Awaitable[object]], *, every: float, name: str) -> None:
    """Repeat the work until cancelled, each time `every` seconds after the last repetition ended.

    An error is logged with `name`; then the work is repeated within the hour.
    """
    while True:
        pause = min(every, LONGEST_AFTER_FAULT)
        try:
            await work()
        except StorageUnavailable:
            log.warning("periodic.storage_unavailable", work=name)
        except Exception:
            log.exception("periodic.failed", work=name)
        else:
            pause = every
        await asyncio.sleep(pause)

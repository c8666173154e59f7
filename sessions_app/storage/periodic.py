"""Work that is done again and again; where it fails once, it goes on."""

import asyncio
from collections.abc import Awaitable, Callable

from sessions_app.errors import StorageUnavailable
from sessions_app.logs import Log

log = Log(__name__)

# Seconds after which rare work that failed is done again, at the latest.
LONGEST_AFTER_FAULT = 3600.0


async def repeat(work: Callable[[], Awaitable[object]], *, every: float, name: str) -> None:
    """Do the work, and again so many seconds after it has ended, until cancelled.

    What it raises is logged with that name; then it is done again within the hour.
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

"""Functions that poll for a condition until a timeout."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from sessions_app.storage import reads

T = TypeVar("T")

POLL_SECONDS = 0.005  # seconds between two polls
# Timeout in seconds, long enough for a busy machine; only failing tests wait that long.
POLL_TIMEOUT = 60.0


async def until_true(
    condition: Callable[[], T | None],
    patience: float = POLL_TIMEOUT,
    every: float = POLL_SECONDS,
    *,
    otherwise: Callable[[], object] = lambda: "",
) -> T:
    """Call the condition in the event loop until the result is true; return the result.

    `patience` and `every` are in seconds.

    Raises:
        AssertionError: the timeout passed; the message has the result of `otherwise`.
    """

    async def look() -> T | None:
        return condition()

    return await _until(look, patience, every, otherwise)


async def until(look: Callable[[], T | None], patience: float = POLL_TIMEOUT) -> T:
    """Query the database until the result is true; return the result.

    Raises:
        AssertionError: the timeout passed.
    """
    return await _until(lambda: reads.read(look), patience)


async def _until(
    look: Callable[[], Awaitable[T | None]],
    patience: float,
    every: float = POLL_SECONDS,
    otherwise: Callable[[], object] = lambda: "",
) -> T:
    deadline = time.monotonic() + patience
    while not (result := await look()):
        if time.monotonic() > deadline:
            raise AssertionError(f"nothing in {patience} s: {otherwise()}")
        await asyncio.sleep(every)
    return result

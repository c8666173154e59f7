"""Waiting for what others do: a look, again and again, until it finds something."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from sessions_app.storage import reads

T = TypeVar("T")

EVERY = 0.005  # seconds
# A busy machine takes its time; only a test that fails waits as long as this, in seconds.
PATIENCE = 60.0


async def until_true(
    condition: Callable[[], T | None],
    patience: float = PATIENCE,
    every: float = EVERY,
    *,
    otherwise: Callable[[], object] = lambda: "",
) -> T:
    """Try in the loop until what comes is true; return it. Times are in seconds.

    Raises:
        AssertionError: nothing came in time; `otherwise` says what there was.
    """

    async def look() -> T | None:
        return condition()

    return await _until(look, patience, every, otherwise)


async def until(look: Callable[[], T | None], patience: float = PATIENCE) -> T:
    """Look at the database until what is found is true; return it.

    Raises:
        AssertionError: nothing was found in time.
    """
    return await _until(lambda: reads.read(look), patience)


async def _until(
    look: Callable[[], Awaitable[T | None]],
    patience: float,
    every: float = EVERY,
    otherwise: Callable[[], object] = lambda: "",
) -> T:
    deadline = time.monotonic() + patience
    while not (result := await look()):
        if time.monotonic() > deadline:
            raise AssertionError(f"nothing in {patience} s: {otherwise()}")
        await asyncio.sleep(every)
    return result

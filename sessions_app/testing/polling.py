"""Waiting for what others do: a look, again and again, until it finds something."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

from sessions_app.storage import reads

EVERY = 0.005  # seconds


async def until_true(condition: Callable[[], Any], patience: float = 20) -> Any:
    """Try in the loop until what comes is true; return it.

    Raises:
        AssertionError: nothing came in time.
    """

    async def look() -> Any:
        return condition()

    return await _until(look, patience)


async def until(look: Callable[[], Any], patience: float = 20) -> Any:
    """Look at the database until what is found is true; return it.

    Raises:
        AssertionError: nothing was found in time.
    """
    return await _until(lambda: reads.read(look), patience)


async def _until(look: Callable[[], Any], patience: float) -> Any:
    deadline = time.monotonic() + patience
    while not (found := await look()):
        if time.monotonic() > deadline:
            raise AssertionError(f"nothing in {patience} s")
        await asyncio.sleep(EVERY)
    return found

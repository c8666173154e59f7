"""A run's slot under the concurrency limit, given back while it waits for a person."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any


class Slot:
    """One run's claim on a semaphore. Several waits of one run may overlap: it holds its slot
    again when the last of them is over.
    """

    def __init__(self, semaphore: asyncio.Semaphore) -> None:
        self._semaphore = semaphore
        self._held = False
        self._waits = 0
        self._waiting_since = 0.0
        # Seconds (monotonic) that the run spent waiting; metrics leave them out.
        self.waited = 0.0

    async def __aenter__(self) -> "Slot":
        await self._take()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._give_back()

    @asynccontextmanager
    async def released(self) -> AsyncIterator[None]:
        """Hold no slot inside of the block. Cancelled at its end, it holds none either."""
        if self._waits == 0:
            self._waiting_since = time.monotonic()
            self._give_back()
        self._waits += 1
        try:
            yield
        finally:
            self._waits -= 1
            if self._waits == 0:
                self.waited += time.monotonic() - self._waiting_since
        if self._waits == 0 and not self._held:
            await self._take()

    def waiting(self, callback: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        """The callback, with no slot held while it waits for a person."""

        async def wait(*arguments: Any) -> Any:
            async with self.released():
                return await callback(*arguments)

        return wait

    async def _take(self) -> None:
        await self._semaphore.acquire()
        # Meanwhile another wait of the run may have begun, or ended and taken the slot.
        if self._waits or self._held:
            self._semaphore.release()
        else:
            self._held = True

    def _give_back(self) -> None:
        if self._held:
            self._held = False
            self._semaphore.release()

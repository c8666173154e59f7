"""Whether what a process knows of its leases is fresh enough to act on."""

import asyncio
import time


class LeaseFreshness:
    """When the database last confirmed the leases of this process.

    A process that stood still (stopped, swapped out, cut off) may have lost them without knowing.
    Its writes are refused, but what has effects elsewhere must not even begin before it has looked.
    `silence`: for how many seconds a look holds; None where there is only one process.
    """

    def __init__(self, silence: float | None = None) -> None:
        self._silence = silence
        self._confirmed_at = time.monotonic()
        self._confirmed = asyncio.Event()

    @property
    def fresh(self) -> bool:
        """Whether nobody can have taken a lease over that was confirmed."""
        return self._silence is None or time.monotonic() - self._confirmed_at < self._silence

    @property
    def left(self) -> float:
        """For how many seconds more that is so."""
        return self._confirmed_at + (self._silence or 0) - time.monotonic()

    def confirm(self, at: float) -> None:
        """A look that began at that time, by the monotonic clock, has ended, and leases that were
        lost are given up.
        """
        self._confirmed_at = at
        self._confirmed.set()

    async def wait_fresh(self) -> None:
        """Wait until what is known is fresh. Whoever has lost its lease is cancelled meanwhile."""
        while not self.fresh:
            self._confirmed.clear()
            await self._confirmed.wait()

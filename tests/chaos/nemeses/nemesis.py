"""Hurts a form of the application at random, by a seed, and lets it recover."""

import asyncio
import random
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.chaos.orders import Orders

# Seconds between two strokes, and for how long something stands still or is away.
PAUSES = (0.5, 6.0)
SHORT = (0.5, 4.0)
LONG = (6.0, 15.0)


class Nemesis(ABC):
    """The base of what hurts a form: `strike_until(deadline)`; `struck` counts by kind and
    target.
    """

    def __init__(self, seed: int, orders: Path) -> None:
        self._orders = Orders()
        self._orders_file = orders
        self._random = random.Random(seed)
        self._busy: set[str] = set()
        self._under_way: set[asyncio.Task[None]] = set()
        self.struck: Counter[str] = Counter()
        self.story: list[str] = []
        self.left_out: list[str] = []

    async def strike_until(self, deadline: float) -> None:
        """Strike until that time (monotonic), and wait until all have recovered.

        Raises:
            AssertionError: one did not recover.
        """
        while time.monotonic() < deadline:
            await self.strike()
            await asyncio.sleep(self._random.uniform(*PAUSES))
            self._raise_errors()
        await asyncio.gather(*self._under_way)

    @abstractmethod
    async def strike(self) -> None:
        """Begin to hurt something."""

    def _strike_messages(self, seconds: float) -> None:
        """Have all processes lose and double what they tell themselves and each other."""
        lost, doubled = self._random.uniform(0.1, 0.6), self._random.uniform(0.1, 0.4)
        self._note("messages", "all", seconds)
        self._start("messages", self._confuse(lost, doubled, seconds))

    async def _confuse(self, lost: float, doubled: float, seconds: float) -> None:
        self._order(lost=lost, doubled=doubled)
        await asyncio.sleep(seconds)
        self._order(lost=0.0, doubled=0.0)

    def _order(self, **changes: Any) -> None:
        self._orders = replace(self._orders, **changes)
        self._orders.write(self._orders_file)

    def _note(self, fault: str, target: str, seconds: float = 0) -> None:
        self.struck[fault] += 1
        self.story.append(f"{time.time():.3f} {fault} {target} {seconds:.1f}")

    def _start(self, target: str, suffering: Coroutine[None, None, None]) -> None:
        """Have it suffered, and nothing else with it meanwhile."""
        self._busy.add(target)
        self._under_way.add(asyncio.create_task(self._suffered(target, suffering)))

    async def _suffered(self, target: str, suffering: Coroutine[None, None, None]) -> None:
        await suffering
        self._busy.discard(target)

    def _raise_errors(self) -> None:
        for task in [task for task in self._under_way if task.done()]:
            self._under_way.discard(task)
            task.result()

"""Hurts a cluster at random, by a seed, and lets it recover."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable

from tests.cluster import faults
from tests.cluster.cluster import Cluster
from tests.cluster.faults import Target
from tests.cluster.node import Node

# Seconds between two strokes, and for how long something stands still or is away.
PAUSES = (0.5, 6.0)
SHORT = (0.5, 4.0)
LONG = (6.0, 15.0)
REDIS_AWAY = 30.0
# So often two or three things are struck at once; and all are asked to end in turn.
SEVERAL = 0.2
ROLLING = 0.06


class Nemesis:
    """`strike_until(deadline)`; `struck` counts what was done, by kind and target."""

    def __init__(self, cluster: Cluster, seed: int) -> None:
        self._cluster = cluster
        self._random = random.Random(seed)
        self._busy: set[str] = set()
        self._under_way: set[asyncio.Task[None]] = set()
        self.struck: Counter[str] = Counter()
        self.story: list[str] = []

    async def strike_until(self, deadline: float) -> None:
        """Strike until that time (monotonic), and wait until all have recovered."""
        while time.monotonic() < deadline:
            chance = self._random.random()
            if chance < ROLLING:
                await self._roll()
            else:
                count = self._random.choice((2, 3)) if chance < ROLLING + SEVERAL else 1
                for _ in range(count):
                    self._strike()
            await asyncio.sleep(self._random.uniform(*PAUSES))
            self._raise_errors()
        await asyncio.gather(*self._under_way)

    def _strike(self) -> None:
        target = self._random.choice(self._targets())
        kind = self._random.choice(("kill", "kill", "stop", "stop", "term"))
        seconds = self._random.uniform(*self._random.choice((SHORT, LONG)))
        if target is self._cluster.redis and self._random.random() < 0.3:
            kind, seconds = "away", REDIS_AWAY
        if target.name in self._busy:
            return
        self._busy.add(target.name)
        self._start(self._suffer(target, kind, seconds))

    def _targets(self) -> list[Target]:
        cluster = self._cluster
        return [*cluster.nodes, *cluster.workers, cluster.redis, cluster.postgresql]

    async def _suffer(self, target: Target, kind: str, seconds: float) -> None:
        self._note(kind, target, seconds if kind in ("stop", "away") else 0)
        if kind == "away":
            await faults.kill(target)
            await asyncio.sleep(seconds)
        else:
            await faults.FAULTS[kind](target)
        await faults.recover(target, again=True, frozen_for=seconds)
        self._busy.discard(target.name)

    async def _roll(self) -> None:
        """Ask all of our processes to end, one after another."""
        for node in self._cluster.nodes:
            if node.name not in self._busy:
                self._busy.add(node.name)
                await self._suffer(node, "term", 0)

    def _note(self, kind: str, target: Target, seconds: float) -> None:
        what = f"{kind} {_kind(target)}"
        self.struck[what] += 1
        self.story.append(f"{time.time():.3f} {kind} {target.name} {seconds:.1f}")

    def _start(self, suffering: Awaitable[None]) -> None:
        task = asyncio.ensure_future(suffering)
        self._under_way.add(task)

    def _raise_errors(self) -> None:
        for task in [task for task in self._under_way if task.done()]:
            self._under_way.discard(task)
            task.result()


def _kind(target: Target) -> str:
    return target.name.rstrip("0123456789") if isinstance(target, Node) else target.name

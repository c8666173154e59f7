"""Kills, freezes and ends the processes of a cluster, its PostgreSQL and its Redis."""

import asyncio

from tests.chaos.nemeses.nemesis import LONG, SHORT, Nemesis
from tests.cluster import faults
from tests.cluster.cluster import Cluster
from tests.cluster.faults import Target
from tests.cluster.node import Node

REDIS_AWAY = 30.0
# So often two or three things are struck at once; and all are asked to end in turn.
SEVERAL = 0.2
ROLLING = 0.06
# So often messages get lost meanwhile.
MESSAGES = 0.1


class ClusterNemesis(Nemesis):
    """Of a cluster."""

    def __init__(self, cluster: Cluster, seed: int) -> None:
        super().__init__(seed, cluster.orders)
        self._cluster = cluster

    async def strike(self) -> None:
        """One process, some of them, or all in turn."""
        chance = self._random.random()
        if chance < ROLLING:
            await self._roll()
            return
        if self._random.random() < MESSAGES and "messages" not in self._busy:
            self._strike_messages(self._random.uniform(*LONG))
        count = self._random.choice((2, 3)) if chance < ROLLING + SEVERAL else 1
        for _ in range(count):
            self._strike_one()

    def _strike_one(self) -> None:
        target = self._random.choice(self._targets())
        kind = self._random.choice(("kill", "kill", "stop", "stop", "term"))
        seconds = self._random.uniform(*self._random.choice((SHORT, LONG)))
        if target is self._cluster.postgresql:
            kind = self._random.choice((kind, *faults.CRASHES))
        if target is self._cluster.redis and self._random.random() < 0.3:
            kind, seconds = "away", REDIS_AWAY
        if target.name not in self._busy:
            self._start(target.name, self._suffer(target, kind, seconds))

    def _targets(self) -> list[Target]:
        cluster = self._cluster
        return [*cluster.nodes, *cluster.workers, cluster.redis, cluster.postgresql]

    async def _suffer(self, target: Target, kind: str, seconds: float) -> None:
        lasts = seconds if kind in ("stop", "away") else 0
        self._note(f"{kind} {_kind(target)}", target.name, lasts)
        if kind == "away":
            await faults.kill(target)
            await asyncio.sleep(seconds)
        else:
            await (faults.FAULTS | faults.CRASHES)[kind](target)
        await faults.recover(target, again=True, frozen_for=lasts)

    async def _roll(self) -> None:
        """Ask all of our processes to end, one after another."""
        for node in self._cluster.nodes:
            if node.name not in self._busy:
                self._busy.add(node.name)
                await self._suffered(node.name, self._suffer(node, "term", 0))


def _kind(target: Target) -> str:
    return target.name.rstrip("0123456789") if isinstance(target, Node) else target.name

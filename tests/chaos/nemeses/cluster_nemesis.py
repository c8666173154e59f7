"""Kills, freezes and ends the processes of a cluster, its PostgreSQL and its Redis; and crowds its
workers.
"""

import asyncio
from contextlib import AsyncExitStack

from tests.chaos.nemeses.nemesis import LONG, SHORT, Nemesis
from tests.cluster import faults
from tests.cluster.cluster import USERS, Cluster
from tests.cluster.faults import Target
from tests.cluster.node import Node
from tests.cluster.people import Person

REDIS_AWAY = 30.0
# So often two or three things are struck at once; and all are asked to end in turn.
SEVERAL = 0.2
ROLLING = 0.06
# So often two users have long runs in most places of the workers, and a third says something.
CROWD = 0.06
LONG_RUNS = 14
MESSAGES_BESIDE = 5
# Until what was struck meanwhile is back: the long runs do not end.
PATIENCE = 120.0
# So often messages get lost meanwhile.
MESSAGES = 0.1


class ClusterNemesis(Nemesis):
    def __init__(self, cluster: Cluster, seed: int) -> None:
        super().__init__(seed, cluster.orders)
        self._cluster = cluster

    async def strike(self) -> None:
        """Strike one process, some of them, or all in turn."""
        chance = self._random.random()
        if chance < ROLLING:
            await self._roll()
            return
        if chance > 1 - CROWD and "places" not in self._busy:
            self._start("places", self._crowd())
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

    async def _crowd(self) -> None:
        """Fill some workers while others have places: nobody else waits for the long runs."""
        self._note("crowd", "places")
        *crowders, other_user = USERS[-3:]
        name = f"crowd{self.struck['crowd']}"
        async with AsyncExitStack() as stack:

            async def come(user: str, conversation: str) -> Person:
                person = Person(self._cluster, user, conversation=conversation)
                return await stack.enter_async_context(person)

            crowd = [await come(crowders[n % 2], f"{name}-{n}") for n in range(LONG_RUNS)]
            messages = [await person.say("stream(tokens=3600, delay=1)") for person in crowd]
            for number in range(MESSAGES_BESIDE):
                other = await come(other_user, f"{name}-{number}")
                await other.say('echo("hello")')
                await other.until("the end, beside long runs", other.done, PATIENCE)
            for person, one in zip(crowd, messages, strict=True):
                await person.until("a run", lambda: person.runs, PATIENCE)  # noqa: B023 - awaited here
                await person.stop(one)
            for person in crowd:
                await person.until("the end of a long run", person.done, PATIENCE)


def _kind(target: Target) -> str:
    return target.name.rstrip("0123456789") if isinstance(target, Node) else target.name

"""A worker whose clock is hours off: it hosts nothing and says so, and no deadline is wrong."""

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator

import pytest

from tests.chaos.orders import Orders, interfered
from tests.cluster import faults
from tests.cluster.cluster import Cluster, Template
from tests.cluster.node import Node
from tests.cluster.people import Person
from tests.support.processes.command import run
from tests.support.server import health

pytestmark = [
    pytest.mark.slow,
    pytest.mark.cluster_only("with SQLite the clock of the database is that of the process"),
    pytest.mark.timeout(300),
]

SOON, LATER = 4, 3600  # seconds of deadlines
EXPIRED = """
    SELECT EXTRACT(EPOCH FROM answered_at)::float AS at,
        EXTRACT(EPOCH FROM answered_at - created_at)::float AS took
    FROM sessions_app_interaction WHERE status = 'expired'
"""
OPEN = "SELECT 1 FROM sessions_app_interaction WHERE status = 'pending'"
HOSTING = "SELECT key FROM sessions_app_hostlease WHERE released_at IS NULL AND worker LIKE %s"
LATENESS = 3.0  # seconds, on a busy machine


class SkewedCluster(Cluster):
    """A cluster whose first worker has a clock that a test sets."""

    @property
    def skewed(self) -> Node:
        return self.workers[0]

    def set_clock(self, hours: int) -> None:
        Orders(hours=hours).write(self.orders)

    def _worker(self, number: int) -> Node:
        node = super()._worker(number)
        if number == 0:
            node = Node(
                node.name,
                self.directory,
                ["manage.py", "worker"],
                lambda name: {**self.environment(name), **interfered(self.orders)},
            )
        return node

    def hosts(self, node: Node) -> list[str]:
        return [row["key"] for row in self.rows(HOSTING, f"%:{node.pid}")]


@pytest.fixture
async def cluster(
    cluster_template: Template, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[SkewedCluster]:
    cluster = SkewedCluster(cluster_template, tmp_path_factory.mktemp("skewed"), webs=1)
    await asyncio.to_thread(cluster.__enter__)
    yield cluster
    await asyncio.to_thread(cluster.close)


@pytest.fixture
async def people(cluster: SkewedCluster) -> AsyncIterator[tuple[Person, Person]]:
    async with (
        Person(cluster, next(cluster.users)) as ann,
        Person(cluster, next(cluster.users)) as ben,
    ):
        yield ann, ben


async def skew(cluster: SkewedCluster, hours: int, ben: Person) -> None:
    """Set the clock of the only worker, which hosts something, and wait until it hosts nothing."""
    await faults.kill(cluster.workers[1])
    await ben.say('echo("a")')
    await ben.until("the end", ben.done)
    cluster.set_clock(hours)
    await ben.until("it says so", lambda: "clock.wrong" in cluster.skewed.log)
    await ben.until("it hosts nothing", lambda: not cluster.hosts(cluster.skewed))


@pytest.mark.parametrize("hours", [2, -2])
async def test_a_worker_with_a_wrong_clock_says_so_and_hosts_again_once_it_is_right(
    cluster: SkewedCluster, people: tuple[Person, Person], hours: int
) -> None:
    _, ben = people
    await skew(cluster, hours, ben)

    def clocks() -> list[int]:
        status, text = health(cluster.ports[0])
        assert status == 200
        return list(json.loads(text).get("wrong_clocks", []))

    await ben.until("the worker's report", clocks)
    assert await asyncio.to_thread(clocks) == [pytest.approx(hours * 3600, abs=5)]
    checked = await asyncio.to_thread(run, "manage.py", "doctor", env=cluster.environment("doctor"))
    place = "ahead of" if hours > 0 else "behind"
    assert re.search(rf"the clock of \S+ is 7\d\d\d s {place} the database's", checked.stdout)
    said = await ben.say('echo("b")')
    cluster.set_clock(0)
    await ben.until("it says so", lambda: "clock.right" in cluster.skewed.log)
    await ben.until("it hosts again", ben.done)
    assert ben.text(said) == "b"


@pytest.mark.parametrize("hours", [2, -2])
async def test_deadlines_are_kept_beside_a_wrong_clock(
    cluster: SkewedCluster, people: tuple[Person, Person], hours: int
) -> None:
    ann, ben = people
    await ann.say(f"ask(timeout={LATER})")
    await ann.until("asked", ann.pending)
    await skew(cluster, hours, ben)
    await asyncio.to_thread(cluster.workers[1].start)
    asked_at = time.time()
    await ben.say(f"ask(timeout={SOON})")
    await ben.until("the deadline", lambda: cluster.rows(EXPIRED))
    [expired] = await asyncio.to_thread(cluster.rows, EXPIRED)
    assert asked_at + SOON <= expired["at"] <= time.time()
    assert SOON <= expired["took"] <= SOON + LATENESS
    assert len(await asyncio.to_thread(cluster.rows, OPEN)) == 1  # the one that is due later

"""A worker is killed, stopped or asked to end while people are in the middle of everything."""

import pytest

from tests.cluster.cluster import Cluster
from tests.cluster.matrix.matrix_line import KINDS, scene, suffer, until_logged
from tests.cluster.matrix.situations import Scene

pytestmark = [
    pytest.mark.slow,
    pytest.mark.cluster_only("it is about several processes"),
    pytest.mark.timeout(300),
]


FIRST = """
    SELECT key, EXTRACT(EPOCH FROM min(at))::float AS at FROM audit
    WHERE writer = %s AND key = ANY(%s) GROUP BY key
"""
# What the issue allows, and what a busy machine needs.
TAKE_OVER = 10.0 + 3.0  # seconds


def assert_taken_over(scene: Scene, before: dict[str, tuple[int, str]]) -> None:
    """Check that every key that had a host has a newer one."""
    after = scene.leases()
    assert all(after[key][0] > generation for key, (generation, _) in before.items())


async def test_another_worker_takes_over_from_a_killed_one(cluster: Cluster) -> None:
    killed, other = cluster.workers
    async with scene(cluster) as people:
        before = people.leases()
        await suffer(people, "kill", killed, again=False)
        assert_taken_over(people, before)
        first = cluster.rows(FIRST, other.life.name, list(before))
        died = killed.life.ended
        assert died is not None
        assert max(row["at"] for row in first) - died < TAKE_OVER


async def test_a_host_that_was_stopped_writes_nothing_when_it_goes_on(cluster: Cluster) -> None:
    """The audit of each test says that what is written comes from the holder of the lease."""
    host = cluster.workers[0]
    printed = len(host.log)
    async with scene(cluster) as people:
        before = people.leases()
        await suffer(people, "stop", host)
        assert_taken_over(people, before)
        # A write told it, or its next look; dropped: the look took longer than it may by then.
        await until_logged(host, r"host\.(fenced|dropped)", printed)


@pytest.mark.parametrize(
    "seconds", [5.0, pytest.param(7.3, marks=pytest.mark.beyond("7.3 seconds lose nothing"))]
)
async def test_a_host_stopped_for_about_its_lease_time_loses_nothing(
    cluster: Cluster, seconds: float
) -> None:
    """The host lets go before others may take over, or goes on while they are about to."""
    async with scene(cluster) as people:
        await suffer(people, "stop", cluster.workers[0], frozen_for=seconds)


async def test_a_host_that_is_to_end_hands_over(cluster: Cluster) -> None:
    async with scene(cluster) as people:
        before = people.leases()
        await suffer(people, "term", cluster.workers[0], again=False)
        assert_taken_over(people, before)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_fault_of_an_idle_worker_changes_nothing(cluster: Cluster, kind: str) -> None:
    async with scene(cluster) as people:
        await suffer(people, kind, cluster.workers[1])

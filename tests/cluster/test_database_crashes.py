"""PostgreSQL crashes, or one of its backends does, again and again while people work."""

import itertools

import pytest

from tests.cluster import faults
from tests.cluster.checker.checker import violations
from tests.cluster.cluster import Cluster
from tests.cluster.collect_history import history
from tests.cluster.workload import Workload

pytestmark = [
    pytest.mark.cluster_only(reason="SQLite has no process of its own"),
    pytest.mark.timeout(600),
]

# Each test has users of its own, two people to a user.
PEOPLE = 16
FIRSTS = itertools.count(368, PEOPLE // 2)


@pytest.mark.parametrize("kind", faults.CRASHES)
async def test_no_run_fails_where_the_database_does(cluster: Cluster, kind: str) -> None:
    await _strike(cluster, kind, times=3)


@pytest.mark.long
@pytest.mark.parametrize("kind", faults.CRASHES)
async def test_no_run_fails_as_the_database_does_twenty_times(cluster: Cluster, kind: str) -> None:
    await _strike(cluster, kind, times=20)


async def _strike(cluster: Cluster, kind: str, *, times: int) -> None:
    """Strike as often while people send, answer and wait for steps; each comes to the right end."""
    try:
        async with Workload(cluster, PEOPLE, seed=times, first=next(FIRSTS)) as workload:
            for _ in range(times):
                await workload.until_messages(workload.messages + PEOPLE)
                await faults.CRASHES[kind](cluster.postgresql)
                await faults.recover(cluster.postgresql, again=True, frozen_for=0)
            await workload.finish()
    except AssertionError as error:
        raise AssertionError(f"{error}\n{cluster.tails()}") from None
    wrong = violations(history(cluster, workload.people, faults=times))
    assert not wrong, "\n".join([*wrong, cluster.tails()])

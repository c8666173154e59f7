"""A rolling restart, and crashes of PostgreSQL or of one of its backends, while people work."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.cluster import faults
from tests.cluster.checker.checker import violations
from tests.cluster.cluster import Cluster
from tests.cluster.collect_history import history
from tests.cluster.workload import Workload

pytestmark = [
    pytest.mark.slow,
    pytest.mark.cluster_only("it is about several processes"),
    pytest.mark.timeout(600),
]

PEOPLE = 16


@asynccontextmanager
async def working(cluster: Cluster, *, people: int, struck: int) -> AsyncIterator[Workload]:
    """Have people send, answer and wait for steps; each run then comes to the right end."""
    try:
        async with Workload(cluster, people, seed=struck) as workload:
            yield workload
            await workload.finish()
    except AssertionError as error:
        raise AssertionError(f"{error}\n{cluster.tails()}") from None
    wrong = violations(history(cluster, workload.people, faults=struck))
    assert not wrong, "\n".join([*wrong, cluster.tails()])


@pytest.mark.parametrize(
    "times", [3, pytest.param(20, marks=pytest.mark.beyond("twenty crashes fail no run"))]
)
@pytest.mark.parametrize("kind", faults.CRASHES)
async def test_no_run_fails_where_the_database_does(
    cluster: Cluster, kind: str, times: int
) -> None:
    async with working(cluster, people=PEOPLE, struck=times) as workload:
        for _ in range(times):
            await workload.until_messages(workload.messages + PEOPLE)
            await faults.CRASHES[kind](cluster.postgresql)
            await faults.recover(cluster.postgresql, again=True, frozen_for=0)


async def test_a_rolling_restart_loses_nothing_and_clients_only_come_back(cluster: Cluster) -> None:
    async with working(cluster, people=12, struck=len(cluster.nodes)) as workload:
        for node in cluster.nodes:
            so_far = workload.messages
            await faults.terminate(node)
            await faults.recover(node, again=True)
            await asyncio.to_thread(cluster.until_up)
            await workload.until_messages(so_far + 5)
    codes = {code for one in workload.people for view in one.views for code in view.close_codes}
    assert codes == {1012}

"""A rolling restart under load: one process after another is asked to end, and started anew."""

import asyncio

import pytest

from tests.cluster import faults
from tests.cluster.checker.checker import violations
from tests.cluster.cluster import Cluster
from tests.cluster.collect_history import history
from tests.cluster.workload import Workload

pytestmark = [pytest.mark.cluster_only("it is about several processes"), pytest.mark.timeout(150)]

FIRST = 300


@pytest.mark.long
async def test_a_rolling_restart_loses_nothing_and_clients_only_come_back(cluster: Cluster) -> None:
    try:
        async with Workload(cluster, 12, seed=4, first=FIRST) as workload:
            for node in cluster.nodes:
                so_far = workload.messages
                await faults.terminate(node)
                await faults.recover(node, again=True)
                await asyncio.to_thread(cluster.until_up)
                await workload.until_messages(so_far + 5)
            await workload.finish()
    except AssertionError as error:
        raise AssertionError(f"{error}\n{cluster.tails()}") from None
    wrong = violations(history(cluster, workload.people, faults=len(cluster.nodes)))
    assert not wrong, "\n".join([*wrong, cluster.tails()])
    codes = {code for one in workload.people for view in one.views for code in view.close_codes}
    assert codes == {1012}

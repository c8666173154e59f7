"""A rolling restart under load: one process after another is asked to end, and started anew."""

import asyncio

import pytest

from tests.cluster import faults
from tests.cluster.checker import violations
from tests.cluster.cluster import Cluster
from tests.cluster.collect import history
from tests.cluster.crowd import Crowd

pytestmark = [
    pytest.mark.cluster_only(reason="it is about several processes"),
    pytest.mark.timeout(150),
]

FIRST = 300


async def test_a_rolling_restart_loses_nothing_and_clients_only_come_back(cluster: Cluster) -> None:
    try:
        async with Crowd(cluster, 12, seed=4, first=FIRST) as crowd:
            for node in cluster.nodes:
                so_far = crowd.messages
                await faults.terminate(node)
                await faults.recover(node, again=True)
                await asyncio.to_thread(cluster.until_up)
                await crowd.until_messages(so_far + 5)
            await crowd.finish()
    except AssertionError as error:
        raise AssertionError(f"{error}\n{cluster.tails()}") from None
    wrong = violations(history(cluster, crowd.people, faults=len(cluster.nodes)))
    assert not wrong, "\n".join([*wrong, cluster.tails()])
    codes = {code for one in crowd.people for view in one.views for code in view.close_codes}
    assert codes == {1012}

"""A web process is killed, stopped or asked to end while people are in the middle of everything."""

import pytest

from tests.cluster.cluster import Cluster
from tests.cluster.matrix.matrix_line import close_codes, scene, suffer

pytestmark = [
    pytest.mark.slow,
    pytest.mark.cluster_only("it is about several processes"),
    pytest.mark.timeout(300),
]


@pytest.mark.parametrize("kind", ["kill", "stop"])
async def test_clients_come_back_by_another_process(cluster: Cluster, kind: str) -> None:
    async with scene(cluster) as people:
        await suffer(people, kind, cluster.webs[0])
        assert close_codes(people)


async def test_a_process_that_is_to_end_sends_its_clients_away(cluster: Cluster) -> None:
    async with scene(cluster) as people:
        await suffer(people, "term", cluster.webs[0])
        assert close_codes(people) == {1012}

"""A fault of a web process, of Redis or of PostgreSQL while people are amid everything."""

import pytest

from tests.cluster.cluster import Cluster
from tests.cluster.matrix.matrix_line import KINDS, close_codes, scene, suffer

pytestmark = [
    pytest.mark.slow,
    pytest.mark.cluster_only("it is about several processes"),
    pytest.mark.timeout(300),
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("service", ["redis", "postgresql"])
async def test_a_failing_service_costs_only_time(cluster: Cluster, service: str, kind: str) -> None:
    async with scene(cluster) as people:
        await suffer(people, kind, getattr(cluster, service))
        assert not close_codes(people)


@pytest.mark.parametrize("kind", KINDS)
async def test_clients_come_back_by_another_process(cluster: Cluster, kind: str) -> None:
    async with scene(cluster) as people:
        await suffer(people, kind, cluster.webs[0])
        assert close_codes(people)
        if kind == "term":  # it sends its clients away
            assert close_codes(people) == {1012}

"""Redis or PostgreSQL is killed, stopped or restarted while people are amid everything."""

import pytest

from tests.cluster.cluster import Cluster
from tests.cluster.matrix.matrix_line import close_codes, scene, suffer

pytestmark = [
    pytest.mark.cluster_only(reason="it is about several processes"),
    pytest.mark.timeout(300),
]


@pytest.mark.long
@pytest.mark.parametrize("kind", ["kill", "stop", "term"])
async def test_nothing_but_time_is_lost_with_redis(cluster: Cluster, kind: str) -> None:
    async with scene(cluster) as people:
        await suffer(people, kind, cluster.redis)
        assert not close_codes(people)


@pytest.mark.long
@pytest.mark.parametrize("kind", ["kill", "stop", "term"])
async def test_all_go_on_once_the_database_is_back(cluster: Cluster, kind: str) -> None:
    async with scene(cluster) as people:
        await suffer(people, kind, cluster.postgresql)
        assert not close_codes(people)

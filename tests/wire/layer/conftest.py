"""A Redis of each test, to be killed and frozen."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from redis.asyncio import Redis as Client

from natproject.cluster.servers import Redis


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[Redis]:
    with Redis(tmp_path / "redis") as redis:
        yield redis
        redis.thaw()


@pytest.fixture
async def client(redis: Redis) -> AsyncIterator[Client]:
    async with Client.from_url(redis.url(3)) as client:
        yield client

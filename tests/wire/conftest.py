"""The person of a module's `hosting`, and her browser; or a log that a test writes itself."""

from collections.abc import AsyncIterator

import pytest
from django.contrib.auth.models import User
from django.test import AsyncClient

from sessions_app.storage import reads
from tests.support.hosting import Hosting, make_user
from tests.wire.live_log import LiveLog


@pytest.fixture
async def ann(hosting: Hosting) -> User:
    person: User = await reads.read(make_user, "ann")
    return person


@pytest.fixture
async def client(ann: User) -> AsyncClient:
    client = AsyncClient()
    await client.aforce_login(ann)
    return client


@pytest.fixture
async def log() -> AsyncIterator[LiveLog]:
    async with LiveLog() as log:
        yield log

"""`ann`, her key, and the tokens of an issuer."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from django.contrib.auth.models import User
from pytest_django import Settings

from chat_app.identity.api_keys import issue
from chat_app.models import ApiKey
from sessions_app.storage.writer import writer
from tests.support.hitl import set_hitl
from tests.wire.identity.tokens import AUDIENCE, SECRET


@pytest.fixture
async def _writer() -> AsyncIterator[None]:
    yield
    await asyncio.to_thread(writer.stop)


@pytest.fixture
def ann() -> User:
    return User.objects.create_user("ann", password="right")


@pytest.fixture
def key(ann: User) -> str:
    row = ApiKey(user=ann, name="tests")
    plain = issue(row)
    row.save()
    return plain


@pytest.fixture
def tokens(settings: Settings) -> Settings:
    set_hitl(settings, JWT_KEY=SECRET, JWT_ALGORITHMS=["HS256"])
    set_hitl(settings, JWT_AUDIENCE=[AUDIENCE])
    return settings

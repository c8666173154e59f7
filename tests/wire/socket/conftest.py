"""The host of the probe, and a socket that writes to it."""

from collections.abc import AsyncIterator

import pytest
from django.contrib.auth.models import User

from tests.support.hosting import Hosting
from tests.support.workflows import probe
from tests.wire.live_hosting import live_hosting
from tests.wire.local_socket import LocalSocket

assert probe  # importing it declares it


@pytest.fixture
async def hosting() -> AsyncIterator[Hosting]:
    async with live_hosting("probe") as hosting:
        yield hosting


@pytest.fixture
async def socket(ann: User) -> AsyncIterator[LocalSocket]:
    async with LocalSocket(ann, conversation_id="c") as socket:
        yield socket

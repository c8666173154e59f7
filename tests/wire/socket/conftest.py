"""What the sockets write to: the probe workflow."""

from collections.abc import AsyncIterator

import pytest

from bench.workflows import probe
from tests.support.hosting import Hosting
from tests.wire.live_hosting import live_hosting

assert probe  # importing it declares it


@pytest.fixture
async def hosting() -> AsyncIterator[Hosting]:
    """Yield the host of the probe; sockets hear of what it stores."""
    async with live_hosting("probe") as hosting:
        yield hosting

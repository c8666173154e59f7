"""A server for all tests of a module, and a tab of the peer's UI."""

from collections.abc import AsyncIterator
from uuid import uuid4

import pytest

from tests.conftest import NewServer
from tests.support.peer_ui import PeerUi
from tests.support.running_form import UVICORN
from tests.support.server import Server

ORIGIN = "http://ui.example:3000"
# The server sends a ping every second.
PINGS = ("--ws-ping-interval" if UVICORN else "--ping-interval", "1")
OFFERED = """\
default: probe
workflows:
  probe: {}
  probe_per_user: {second_message: parallel}
  calculator: {options: {max_operations: 3}, second_message: enqueue}
  expense_approval: {}
  parallel_review: {second_message: reject}
"""


@pytest.fixture(scope="module")
def backend(new_module_server: NewServer) -> Server:
    return new_module_server(
        workflows=OFFERED,
        web_options=PINGS,
        GUESTS="true",
        ALLOWED_ORIGINS=ORIGIN,
        PARK_AFTER="0.2",
    )


def new_tab(server: Server, **query: str) -> PeerUi:
    return PeerUi(server, origin=ORIGIN, session=str(uuid4()), **query)


@pytest.fixture
async def ui(backend: Server) -> AsyncIterator[PeerUi]:
    async with new_tab(backend) as ui:
        yield ui

"""A server for all tests of a module, and tabs of the peer's UI; none may show an error."""

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest

from tests.conftest import NewServer
from tests.support.peer_ui import PeerUi
from tests.support.server import Server

ORIGIN = "http://ui.example:3000"
OFFERED = """\
default: probe
workflows:
  probe: {}
  probe_per_user: {second_message: parallel}
  calculator: {options: {max_operations: 3}, second_message: enqueue}
  expense_approval: {}
  parallel_review: {second_message: reject}
"""

NewTab = Callable[..., PeerUi]


@pytest.fixture(scope="module")
def backend(new_module_server: NewServer) -> Server:
    """Start a server that lets guests in, from the origin of the UI."""
    return new_module_server(
        workflows=OFFERED, GUESTS="true", ALLOWED_ORIGINS=ORIGIN, PARK_AFTER="0.2"
    )


@pytest.fixture
def new_tab(backend: Server) -> Iterator[NewTab]:
    """Return a function that makes the tab of a new guest, or of one with `session`."""
    tabs: list[PeerUi] = []

    def new_tab(copy_of: PeerUi | None = None, server: Server = backend, **query: Any) -> PeerUi:
        query = {"origin": ORIGIN, "session": str(uuid4()), **query}
        tab = copy_of.copied_tab() if copy_of else PeerUi(server, **query)
        tab.pause = 0.2
        tabs.append(tab)
        return tab

    yield new_tab
    for tab in tabs:
        assert not tab.toasts


@pytest.fixture
async def ui(new_tab: NewTab) -> AsyncIterator[PeerUi]:
    """Yield the tab of a new guest, which is open."""
    async with new_tab() as ui:
        yield ui

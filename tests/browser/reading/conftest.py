"""The server for tests of reading: what is read does not depend on other conversations."""

import pytest

from tests.support.server import Server


@pytest.fixture
def server(one_server: Server) -> Server:
    """Return the server of all tests of reading."""
    return one_server

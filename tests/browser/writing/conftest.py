"""The server for tests of writing: what is written does not depend on other conversations."""

import pytest

from tests.support.server import Server


@pytest.fixture
def server(one_server: Server) -> Server:
    """Return the server of all tests of writing, which leave it running."""
    return one_server

"""A server under attack, for all tests of a module."""

import pytest

from tests.conftest import NewServer
from tests.support.server import Server


@pytest.fixture(scope="module")
def attacked(new_module_server: NewServer) -> Server:
    """Start a server with every door open: guests, tokens, keys, and a workflow that says the
    corpus.
    """
    return new_module_server(
        DJANGO_SETTINGS_MODULE="tests.hostile.host.settings",
        GUESTS="true",
        JWT_KEY="only-for-tests-" + "k" * 50,
        JWT_AUDIENCE="here",
        JWT_ALGORITHMS="HS256",
        JWT_CREATE_USERS="true",
    )

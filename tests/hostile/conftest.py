"""A server under attack, for all tests of a module."""

from collections.abc import Iterator

import pytest

from tests.support.server import Server, Template


@pytest.fixture(scope="module")
def attacked(
    server_template: Template, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """Start a server with every door open: guests, tokens, keys, and a workflow that says the
    corpus.
    """
    server = Server.from_template(
        server_template,
        tmp_path_factory.mktemp("attacked") / "data",
        DJANGO_SETTINGS_MODULE="tests.hostile.host.settings",
        GUESTS="true",
        JWT_KEY="only-for-tests-" + "k" * 50,
        JWT_AUDIENCE="here",
        JWT_ALGORITHMS="HS256",
        JWT_CREATE_USERS="true",
    )
    server.start()
    yield server
    server.drop()

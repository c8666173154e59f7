"""A server for the tests that look at nothing but a conversation of their own."""

from collections.abc import Iterator

import pytest

from tests.support.server import Server, Template


@pytest.fixture(scope="session")
def one_server(
    server_template: Template, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """Start a server that each test leaves running: a start costs more than most of them.

    It is theirs alone, as they leave questions that wait.
    """
    data_dir = tmp_path_factory.mktemp("browsed") / "data"
    server = Server.from_template(server_template, data_dir)
    server.start()
    yield server
    server.drop()

"""Fixtures of all tests: servers in child processes, and a browser (see `support/`)."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.server import USERS, Server, seed

pytest_plugins = ["tests.support.browser"]

NewServer = Callable[..., Server]


@pytest.fixture(scope="session")
def server_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated database with users and their sessions, to be copied."""
    path = tmp_path_factory.mktemp("template")
    (path / "cookies.json").write_text(json.dumps(seed(path, USERS)))
    return path


@pytest.fixture
def new_server(
    server_template: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[NewServer]:
    """Return a function that starts a server: `new_server(PARK_AFTER="0.1")`."""
    servers: list[Server] = []

    def new_server(*, start: bool = True, **env: str) -> Server:
        data_dir = tmp_path / f"server{len(servers)}"
        server = Server.from_template(server_template, data_dir, **env)
        servers.append(server)
        if start:
            server.start()
        return server

    yield new_server
    for server in servers:
        server.kill()
        # Shown with the test if it fails.
        request.node.add_report_section("teardown", f"log of {server.url}", server.log_tail())


@pytest.fixture
def server(new_server: NewServer) -> Server:
    """A running server. Users `admin`, `ann`, `ben`, `user0`…`user19` are signed in."""
    return new_server()

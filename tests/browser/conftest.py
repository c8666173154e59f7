"""The fixtures that tests in a browser share: a server of their own for some, and the admin."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page

from tests.browser.chat_page import begin
from tests.inbox.people import make_group, send_question
from tests.support.browser import OpenPage
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


@pytest.fixture
def admin(open_page: OpenPage, server: Server) -> Page:
    """Return the admin's first page, where ann has asked others, has failed, and is asked."""
    make_group(server)
    send_question(server, "days=3, due=60", name="asked")
    page = open_page(None)
    begin(page, 'fail(text="")', until="failed")
    begin(page, "stream_and_ask(tokens=3)", until="needs-you")
    begin(page, "step(count=2)", until="completed")
    return open_page("/admin/", user="admin")

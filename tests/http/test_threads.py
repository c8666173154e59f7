"""Requests that go on for long: what each of them keeps of the process."""

import http.client
import json
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from tests.http.client import Http, chat
from tests.support.polling import until
from tests.support.server import HOST, USERS, Server

EACH = 50  # of both kinds
# Those of the process: readers, writers, what the event loop and a page have for a moment.
OWN = 20


def threads(server: Server) -> int:
    status = Path(f"/proc/{server.web.pid}/status").read_text()
    return int(status.partition("Threads:")[2].split()[0])


def wait_for_result(server: Server, user: str) -> http.client.HTTPConnection:
    body = json.dumps({"input_message": "ask(delay=600)"})
    sender = Http(server, user)
    connection = http.client.HTTPConnection(HOST, server.port, timeout=20)
    connection.request("POST", "/generate?workflow=probe", body, sender._headers)
    return connection


@pytest.mark.slow
def test_waiting_requests_keep_no_thread(server: Server) -> None:
    with ExitStack() as stack:
        for number in range(EACH):
            user = USERS[number % len(USERS)]
            stream = stack.enter_context(Http(server, user).stream("/chat/stream", chat("ask()")))
            assert stream.status == 200
            stack.enter_context(closing(wait_for_result(server, user)))
        until(lambda: len(server.rows("SELECT 1 FROM sessions_app_run")) >= 2 * EACH)
        until(lambda: threads(server) <= OWN, otherwise=lambda: threads(server))

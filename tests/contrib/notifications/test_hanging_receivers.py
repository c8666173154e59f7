"""Receivers that hang: a silent mail server, a webhook that drips, a project's own receiver."""

import asyncio
import json
import socketserver
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import pytest

from sessions_app.hosting.dispatch.local import DRAIN
from tests.conftest import NewServer
from tests.support.polling import until
from tests.support.websocket import WsClient

SETTINGS = "tests.contrib.notifications.mailing_settings"
OPEN = (
    "SELECT about FROM sessions_app_pendingsignal WHERE settled_at IS NULL AND due_at IS NOT NULL"
)
MAILS_DUE = (
    "UPDATE sessions_app_pendingsignal SET due_at = '2020-01-01 00:00:00+00:00' "
    "WHERE name = 'notice_due' AND attempts = 0 AND settled_at IS NULL"
)


class MailServer(socketserver.StreamRequestHandler):
    """An SMTP server that never answers about mail to ann."""

    sent: ClassVar[list[str]] = []
    hanging: ClassVar[list[str]] = []

    def handle(self) -> None:
        self.wfile.write(b"220 test\r\n")
        to = ""
        for line in self.rfile:
            verb = line[:4].upper()
            if verb == b"RCPT":
                to = line.decode().partition("<")[2].partition(">")[0]
                if to.startswith("ann@"):
                    self.hanging.append(to)
                    self.rfile.read()  # until the client is gone
                    return
            if verb == b"DATA":
                self.wfile.write(b"354 go\r\n")
                while self.rfile.readline() not in (b".\r\n", b""):
                    pass
                self.sent.append(to)
            self.wfile.write(b"221 bye\r\n" if verb == b"QUIT" else b"250 ok\r\n")


class Hook(BaseHTTPRequestHandler):
    """A receiver that answers the first event byte by byte, and each other one at once."""

    ids: ClassVar[list[str]] = []
    done: ClassVar[list[str]] = []

    def do_POST(self) -> None:
        id_ = self.headers["webhook-id"]
        self.rfile.read(int(self.headers["content-length"]))
        self.ids.append(id_)
        if id_ == self.ids[0]:
            self._drip()
            return
        self.send_response(204)
        self.end_headers()
        self.done.append(id_)

    def _drip(self) -> None:
        try:
            while True:
                self.wfile.write(b"H")
                self.wfile.flush()
                time.sleep(0.5)
        except OSError:  # the client is gone
            return

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@contextmanager
def serving(server: Any) -> Iterator[int]:
    server.daemon_threads = True
    server.block_on_close = False
    threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()


async def ask(server: Any, user: str) -> None:
    async with WsClient(server, f"c-{user}", workflow="probe", user=user) as client:
        await client.message_until_prompt("ask()")


@pytest.mark.slow
@pytest.mark.every_form
async def test_a_silent_mail_server_and_a_dripping_webhook_delay_nobody_else_and_no_stop(
    new_server: NewServer,
) -> None:
    for kept in (MailServer.sent, MailServer.hanging, Hook.ids, Hook.done):
        kept.clear()
    mail_server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), MailServer)
    hook_server = ThreadingHTTPServer(("127.0.0.1", 0), Hook)
    with serving(mail_server) as mail_port, serving(hook_server) as hook_port:
        server = new_server(
            DJANGO_SETTINGS_MODULE=SETTINGS,
            MAIL="now",
            MAIL_PORT=str(mail_port),
            PUBLIC_URL="https://chat.example.org",
            WEBHOOK_URL=f"http://127.0.0.1:{hook_port}/hook",
            WEBHOOK_SECRET="a secret",
        )
        server.execute("UPDATE auth_user SET email = username || '@example.org'")
        await ask(server, "ann")
        await asyncio.to_thread(until, lambda: len(Hook.ids) == 1)
        await asyncio.to_thread(until, lambda: len(server.rows(OPEN)) == 2)
        server.execute(MAILS_DUE)
        await asyncio.to_thread(until, lambda: MailServer.hanging)
        for user in ("ben", "user0", "user1"):
            await ask(server, user)
        await asyncio.to_thread(until, lambda: len(Hook.done) == 3, 5)
        await asyncio.to_thread(until, lambda: len(server.rows(OPEN)) == 5)
        server.execute(MAILS_DUE)
        await asyncio.to_thread(until, lambda: len(MailServer.sent) == 3, 5)
        # Wait until both are tried again, which happens after their total time, and stop then.
        await asyncio.to_thread(until, lambda: len(MailServer.hanging) == 2, 30)
        await asyncio.to_thread(until, lambda: len(Hook.ids) == 5, 30)
        began = time.monotonic()
        await asyncio.to_thread(server.stop)
        assert time.monotonic() - began < DRAIN
        # Nothing is lost: both are tried again after the next start.
        await asyncio.to_thread(server.start)
        await asyncio.to_thread(until, lambda: len(MailServer.hanging) == 3, 40)
        await asyncio.to_thread(until, lambda: Hook.ids.count(Hook.ids[0]) == 3, 40)
        assert sorted(MailServer.sent) == [f"{u}@example.org" for u in ("ben", "user0", "user1")]
        left = [json.dumps(row["about"]) for row in server.rows(OPEN)]
        assert sorted("webhook" in about for about in left) == [False, True]

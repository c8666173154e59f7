"""Clients that leave, and news that is lost: the application in the test's own process."""

import asyncio
import json
import re
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import ExitStack, aclosing, suppress
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.asgi import get_asgi_application
from pytest_django import Settings

from chat_app.api import run_feed
from chat_app.api.problems import Failure
from chat_app.feed import sweeper
from chat_app.identity import Identity
from chat_app.rates import acquire_stream
from sessions_app.models import Conversation
from sessions_app.notify import groups
from sessions_app.storage.transaction import Transaction
from sessions_app.storage.writer import writer
from sessions_app.workflows import Context, Message, TextPrompt, workflow
from tests.http.client import Http
from tests.support.hitl import set_hitl
from tests.support.hosting import Hosting, until_true
from tests.support.server import HOST, Server
from tests.wire.live_log import LiveLog, write_after
from tests.wire.slow_readers import fill_log, memory, until_full


@workflow(name="http-ticks", title="Ticks")
async def ticks(message: Message, context: Context) -> AsyncGenerator[str, None]:
    """Yield as many numbers as the message says."""
    for number in range(int(message.text)):
        await asyncio.sleep(0.02)
        yield f"{number} "


@workflow(name="http-waits", title="Waits")
async def waits(message: Message, context: Context) -> None:
    """Wait for ever."""
    await asyncio.Event().wait()


@workflow(name="http-asks-much", title="Asks much")
async def asks_much(message: Message, context: Context) -> None:
    """Questions that no answer holds in one piece."""
    await context.ask_all([TextPrompt(text="x" * 20_000) for _ in range(20)])


class Request:
    """A guest's request to the application in this process; `texts` has what came back."""

    def __init__(self, path: str, body: dict[str, Any], **headers: str) -> None:
        self.texts: list[str] = []
        self.status = 0
        self._inbox: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._inbox.put_nowait({"type": "http.request", "body": json.dumps(body).encode()})
        scope = {
            "type": "http",
            "method": "POST",
            "path": path,
            "query_string": b"session=a-guest-without-any-account",
            "headers": [
                (name.encode(), value.encode())
                for name, value in {"host": "localhost", **headers}.items()
            ],
        }
        application: Any = get_asgi_application()
        self.task = asyncio.create_task(application(scope, self._inbox.get, self._sent))

    async def leave(self) -> None:
        self._inbox.put_nowait({"type": "http.disconnect"})
        with suppress(asyncio.CancelledError):
            await asyncio.wait_for(asyncio.shield(self.task), 10)

    async def _sent(self, message: dict[str, Any]) -> None:
        self.status = message.get("status", self.status)
        self.texts.append(message.get("body", b"").decode())


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("path", ["/generate", "/generate/stream"])
async def test_a_client_that_leaves_leaves_nothing_behind(path: str, settings: Settings) -> None:
    set_hitl(settings, GUESTS=True)
    layer: Any = groups.channel_layer()
    async with Hosting("http-ticks") as hosting:
        before = asyncio.all_tasks()
        request = Request(path, {"input_message": "100000"})
        await until_true(lambda: bool(_groups(layer)))
        await request.leave()
        assert not _groups(layer)
        # A channel that is left over is never emptied; the worker's own is, in a moment.
        await until_true(lambda: all(queue.empty() for queue in layer.channels.values()))
        assert not sweeper.sweeper._followers
        await hosting.stop()
        await layer.close()  # what it has open is the process's
        assert asyncio.all_tasks() - before <= {request.task}


@pytest.mark.django_db(transaction=True)
async def test_news_that_is_lost_costs_a_look_at_the_log(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_hitl(settings, GUESTS=True, SWEEP_SECONDS=0.05)
    looks: list[int] = []
    sweep = sweeper._sweep

    async def look(followers: list[sweeper.Follower]) -> None:
        looks.append(len(followers))
        await sweep(followers)

    async def heard(*_: object) -> None:
        pytest.fail("news is not lost here")

    monkeypatch.setattr(sweeper, "_sweep", look)
    monkeypatch.setattr(run_feed._RunFeed, "news", heard)
    async with Hosting("http-ticks"):  # no notifier: nobody hears of anything
        request = Request("/generate/stream", {"input_message": "5"})
        async with asyncio.timeout(30):
            await request.task
    assert request.status == 200
    values = re.findall(r'"value":"(.*?)"', "".join(request.texts))
    assert "".join(values) == "0 1 2 3 4 "
    # The first is before it listens; the others made up for the news.
    assert len(looks) > 1


@pytest.mark.django_db(transaction=True)
async def test_events_written_while_a_stream_opens_arrive(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_hitl(settings, SWEEP_SECONDS=30)
    async with LiveLog() as log, log.socket() as witness:
        await log.write("before")
        await witness.until_sequence(1)
        write_after(sweeper._heads, monkeypatch, log, witness)
        slot = acquire_stream(user=log.user.pk, address="")
        stream = run_feed.follow(Identity.of(log.user), log.run, after=1, slot=slot)
        async with asyncio.timeout(10), aclosing(stream):
            followed = await anext(stream)
            while followed is None:  # nothing has come for some seconds
                followed = await anext(stream)
        assert followed.event.payload == {"text": "between"}


@pytest.mark.django_db(transaction=True)
async def test_a_stream_ends_as_soon_as_its_user_may_not_be_here(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_hitl(settings, SWEEP_SECONDS=30)  # nobody looks by chance
    async with LiveLog() as log:
        last = await log.write("begun")
        slot = acquire_stream(user=log.user.pk, address="")
        stream = run_feed.follow(Identity.of(log.user), log.run, after=last - 1, slot=slot)
        async with asyncio.timeout(10), aclosing(stream):
            assert await anext(stream)
            log.user.is_active = False
            await log.user.asave()
            with pytest.raises(Failure, match="not signed in any more"):
                await anext(stream)


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
async def test_a_large_answer_keeps_its_status(settings: Settings) -> None:
    set_hitl(settings, GUESTS=True)
    async with Hosting("http-asks-much"):
        request = Request("/generate", {"input_message": "x"})
        await request.task
    assert request.status == 202
    assert len(json.loads("".join(request.texts))["interactions"]) == 20


async def deactivate() -> None:
    await User.objects.aupdate(is_active=False)


async def delete_conversation() -> None:
    """Locked first, as retention does: the runtime, too, takes the conversation before its runs."""

    def work(tx: Transaction) -> None:
        conversation = Conversation.objects.select_for_update().get()
        conversation.delete()

    await writer.write(work)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("end", "status"),
    [(deactivate, 401), (delete_conversation, 404), (sweeper.sweeper.close_all, 503)],
)
async def test_a_request_that_waits_ends_with_what_it_waits_for(
    end: Callable[[], Awaitable[None]],
    status: int,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    set_hitl(settings, GUESTS=True, SWEEP_SECONDS=0.05)
    monkeypatch.setattr(sweeper.sweeper, "_close_error", None)
    async with Hosting("http-waits"):
        request = Request("/generate", {"input_message": "x"})
        await until_true(lambda: bool(sweeper.sweeper._followers))
        await end()
        await request.task
    assert request.status == status


@pytest.mark.slow
def test_streams_that_nobody_reads_cost_little_and_go_on_where_they_were(server: Server) -> None:
    last = fill_log(server, events=120, size=64 * 1024)
    before = memory(server)
    with ExitStack() as stack:
        readers = [stack.enter_context(_unread_stream(server)) for _ in range(60)]
        until_full(readers)
        assert memory(server) - before < 64 * 1024  # all of it has 470 MiB
        readers[7].settimeout(30)
        tail = b""
        while b"id: %d\n" % last not in tail:
            tail = tail[-100:] + readers[7].recv(2**20)


def _unread_stream(server: Server) -> socket.socket:
    reader = socket.socket()
    reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
    reader.connect((HOST, server.port))
    body = json.dumps({"input_message": "x"})
    fields = {**Http(server)._headers, "conversation-id": "big", "last-event-id": "0"}
    fields |= {"user-message-id": "m"}
    fields |= {"host": f"{HOST}:{server.port}", "content-length": str(len(body))}
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    request = f"POST /generate/stream?workflow=probe HTTP/1.1\r\n{head}\r\n{body}"
    reader.sendall(request.encode())
    assert reader.recv(15, socket.MSG_PEEK) == b"HTTP/1.1 200 OK"
    return reader


def _groups(layer: Any) -> list[str]:
    """Return the groups of clients: a worker has one too."""
    return [name for name in layer.groups if not name.startswith("worker.")]

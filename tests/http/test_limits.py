"""Tests of what one user, or one address, may do over HTTP at once and in a time."""

from contextlib import AsyncExitStack, ExitStack

import pytest

from tests.conftest import NewServer
from tests.http.client import Http, Stream
from tests.support.polling import until
from tests.support.server import Response
from tests.support.websocket import WsClient

BODY = {"input_message": "approve(count=1)"}


def check_refused(answer: Response | Stream, noun: str) -> None:
    assert answer.status == 429
    assert 1 <= int(answer.headers["Retry-After"]) <= 3600
    if isinstance(answer, Response):
        assert f"Too many {noun}. Try again in " in answer.json()["message"]


@pytest.mark.slow
def test_streams_and_messages_have_limits(new_server: NewServer) -> None:
    server = new_server(STREAMS_PER_USER="2", STREAMS_PER_ADDRESS="3", RATE_MESSAGES_USER="6/hour")
    ann, ben = Http(server, "ann"), Http(server, "ben")
    with ExitStack() as streams:
        for http in (ann, ann, ben):
            stream = streams.enter_context(http.stream("/generate/stream", BODY))
            assert stream.status == 200
            assert stream.next() is not None  # it goes on
        check_refused(ann.generate('echo("1")'), "requests that wait at once")  # of the user
        check_refused(ben.generate('echo("1")'), "requests that wait at once")  # from the address
        with ann.stream("/generate/stream", BODY) as stream:
            check_refused(stream, "requests that wait at once")
    # Once they have left there are places; nothing was begun by what was refused.
    assert until(lambda: (status := ann.generate('echo("1")').status) != 429 and status) == 200
    runs = "SELECT 1 FROM sessions_app_run"
    assert len(server.rows(runs)) == 4
    same = {"user_message_id": "m1", "conversation_id": "c1"}
    answers = [ann.generate('echo("1")', **same).status for _ in range(3)]
    assert answers == [200, 200, 200]  # of which one was a message
    check_refused(ann.generate('echo("1")'), "messages")
    assert ann.generate('echo("1")', **same).status == 200
    assert len(server.rows(runs)) == 5


@pytest.mark.slow
async def test_sockets_take_no_places_of_requests(new_server: NewServer) -> None:
    server = new_server(STREAMS_PER_USER="2", STREAMS_PER_ADDRESS="2")
    async with AsyncExitStack() as sockets:
        for name in ("a", "b"):
            socket = await sockets.enter_async_context(WsClient(server, name))
            await socket.send({"type": "ping_message"})
            await socket.until("pong_message")
        with Http(server).stream("/generate/stream", BODY) as stream:
            assert stream.status == 200

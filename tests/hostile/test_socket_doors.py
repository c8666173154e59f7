"""The corpus at the socket: its handshake, the fields of its messages, and frames that are none."""

import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any
from uuid import uuid4

import pytest

from chat_app.wire.client_messages import Query
from tests.hostile.attack.doors import Message, messages
from tests.hostile.attack.entries import entries, frames, hostile_json, texts
from tests.hostile.attack.examples import MARK, replaced
from tests.hostile.attack.raw_http import Request, escape
from tests.hostile.attack.raw_socket import (
    PING,
    UPGRADE,
    RawSocket,
    knock,
    message_frame,
    text_frame,
)
from tests.hostile.attack.throwing import check_log, in_order, spread
from tests.support.server import Server
from tests.support.websocket import WsClient

pytestmark = pytest.mark.every_form(reason="the other database takes other texts")

# What a handshake is asked for beside its query.
HEADERS = (
    *("Host", "Cookie", "Origin", "Authorization", "X-API-Key", "User-Agent", "X-Forwarded-For"),
    "Daphne-Root-Path",
    *("Sec-WebSocket-Protocol", "Sec-WebSocket-Key", "Sec-WebSocket-Version"),
    *("Sec-WebSocket-Extensions", "Upgrade", "Connection"),
)
# The codes with which a server may answer a handshake or a frame that is hostile.
CODES = {"", "1002", "1007", "1009", "4401"}
REFUSED = {101, 400, 403, 404, 426, 0}

# A message that is taken.
GOOD: dict[str, Any] = {
    "conversation_id": "socket",
    "id": "m1",
    "workflow": "probe",
    "text": 'echo("x")',
    "content": 'echo("x")',
    "role": "user",
    "username": "ann",
}


@pytest.mark.slow
@pytest.mark.daphne_only(reason="uvicorn leaves a handshake that it cannot read unanswered")
def test_a_handshake_may_hold_anything(attacked: Server) -> None:
    names = [*Query.model_fields, "session", "nothing\ud800"]
    queries = [
        Request(f"{name}: {entry}", f"/websocket?{escape(name)}={escape(text)}", headers=UPGRADE)
        for name, (entry, text) in spread(names, [*texts().items()], 4)
    ]
    queries += [
        Request(f"{name}: {entry}", "/websocket", headers={**UPGRADE, name: text}, user=user)
        for user in ("ann", None)
        for name, (entry, text) in spread(HEADERS, [*entries("headers").items()], 6)
    ]
    answers = in_order(knock, attacked, queries)
    wrong = [
        (request.door, answer.status, answer.text)
        for request, answer in zip(queries, answers, strict=True)
        if answer.status not in REFUSED or answer.text not in CODES
    ]
    assert not wrong
    check_log(attacked)


def hostile_frames(message: Message) -> Iterator[tuple[str, str]]:
    """Yield a message with something else in one place, as JSON."""
    for place, (entry, text) in spread([*message.places, ("odd",)], hostile_json(), 12):
        fresh = {**message.frame, "id": uuid4().hex}
        frame = json.dumps(replaced(fresh, place, MARK)).replace(json.dumps(MARK), text)
        yield f"{message.type} {place}: {entry}", frame


@pytest.mark.slow
async def test_a_field_of_a_message_may_hold_anything(attacked: Server) -> None:
    async with WsClient(attacked, "bystander", workflow="probe") as bystander:
        prompt = await bystander.message_until_prompt("ask()")
        for message in messages(GOOD):
            await throw_frames(attacked, message)
        await bystander.answer("well", prompt)
        await bystander.until(is_ended)
        assert bystander.text() == "well"
    check_log(attacked)


async def throw_frames(server: Server, message: Message) -> None:
    """Send each, and ask whether the socket lives; only wrong credentials may end it."""
    signs_in = message.type == "auth_message"
    thrown = [*hostile_frames(message)]
    while thrown:
        some = 2 if signs_in else len(thrown)
        async with WsClient(server, "socket", workflow="probe") as client:
            for door, frame in thrown[:some]:
                await client.send(frame)
                await client.send({"type": "ping_message", "id": "ping"})
                await client.reply_to("ping")
                failures = [one for one in client.frames if is_failure(one)]
                assert not failures, (door, failures)
                client.frames.clear()
        thrown = thrown[some:]


def is_failure(frame: dict[str, Any]) -> bool:
    """Return whether the server says that something went wrong with it."""
    code = frame["content"].get("code") if frame["type"] == "error_message" else None
    return code == "unknown_error"


def is_ended(frame: dict[str, Any]) -> bool:
    return frame["content"].get("status") in ("completed", "failed", "suspended")


@pytest.mark.slow
@pytest.mark.daphne_only(reason="uvicorn drops a message that a broken frame follows, unanswered")
async def test_frames_may_be_anything(attacked: Server) -> None:
    thrown = frames()
    for entry, text in entries("json", "bodies").items():
        thrown[f"text: {entry}"] = text_frame(text.encode("latin-1"))
    echoes = {entry: f"{number};" for number, entry in enumerate(thrown)}
    path = "/websocket?extended=true&conversation_id=frames&workflow=probe"
    for entry, data in thrown.items():
        with RawSocket(attacked, Request(entry, path, headers=UPGRADE)) as raw:
            raw.send(
                message_frame(
                    {"type": "user_message", "id": entry, "content": f"echo({echoes[entry]!r})"}
                )
            )
            raw.send(data)
            with suppress(OSError):  # closed by now
                raw.send(message_frame(PING))
                raw.end()
            assert str(raw.until_pong() or "") in {*CODES, "1000", "1005", "1006"}, entry
    async with WsClient(attacked, "frames", last_sequence=0) as client:
        for text in echoes.values():  # in the order in which their runs have ended
            while text not in client.text():
                await client.until("system_response_message")
    check_log(attacked)

"""The corpus as answers at each door: each is refused, or says what it means; nobody else waits."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from statistics import median
from typing import Any
from uuid import uuid4

import pytest

from tests.hostile.attack.entries import hostile_json, texts
from tests.hostile.attack.examples import MARK
from tests.hostile.attack.raw_http import FORM, Request, form, send
from tests.hostile.attack.throwing import check_log, complaint_about, spread
from tests.hostile.host.workflows import DECIDED
from tests.hostile.test_socket_doors import is_failure
from tests.http.client import Http
from tests.support.server import Server
from tests.support.websocket import WsClient

# Seconds that no single answer may hold a neighbour up; the machine may stand still by itself.
STALL = 30
ORDER = {"supplier": "Nuts", "pieces": MARK, "letter": "please"}
DATA: list[Any] = [
    MARK,
    {"decision": MARK},
    {"decision": "approve", "arguments": MARK},
    {"decision": "approve", "arguments": ORDER},
    {"decision": "reject", "note": MARK},
    {"approved": MARK},
    {"value": MARK},
    {"value": "yes", "note": MARK},
    {"days": MARK},
    {"days": 1, "sure": MARK, "tell": MARK},
    {"action": "decline", "content": MARK},
]
OF_SOCKET: list[Any] = [
    *({"data": data} for data in DATA),
    {"values": MARK},
    {"values": [MARK]},
    {"content": MARK},
    {"form": MARK},
    {"form": {"values": MARK}},
    {"form": {"values": ["approve"], "fields": MARK}},
    {"form": {"fields": {"days": [MARK], "pieces": [MARK]}}},
]
OF_HTTP: list[Any] = [
    MARK,
    *({"data": data} for data in DATA),
    {"text": MARK},
    {"selected_option": MARK},
    {"selected_options": [MARK]},
]
OF_PAGE = [
    {"value": MARK},
    {"value": "reject", "note": MARK},
    {"value": "approve", "f-pieces": MARK},
    {"f-days": MARK, "f-_decision": MARK},
    {MARK: "approve"},
]


@dataclass(frozen=True, slots=True)
class Thrown:
    """An answer with something of the corpus in it: JSON of the socket or of HTTP, or a form."""

    door: str
    says: str
    body: str


def thrown() -> Iterator[Thrown]:
    """Yield a share of all answers."""
    for door, answers in (("socket", OF_SOCKET), ("http", OF_HTTP)):
        for answer, (entry, text) in spread(answers, hostile_json(), 6):
            body = json.dumps(answer).replace(json.dumps(MARK), text)
            yield Thrown(door, f"{answer}: {entry}", body)
    for answer, (entry, text) in spread(OF_PAGE, [*texts().items()], 6):
        fields = {
            name.replace(MARK, text): value.replace(MARK, text) for name, value in answer.items()
        }
        yield Thrown("page", f"{answer}: {entry}", form(fields).decode())


async def echo(neighbour: WsClient) -> float:
    """Send a message, and wait until its run has ended; return the seconds that it took."""
    began = time.monotonic()
    await neighbour.message('echo("x")')
    await neighbour.until_ended("completed")
    return time.monotonic() - began


@asynccontextmanager
async def echoing(neighbour: WsClient) -> AsyncIterator[list[float]]:
    """Have the neighbour send a message now and then; yield the seconds of each."""
    seconds: list[float] = []

    async def send_on() -> None:
        while True:
            seconds.append(await echo(neighbour))
            await asyncio.sleep(0.1)

    sending = asyncio.create_task(send_on())
    try:
        yield seconds
    finally:
        sending.cancel()


@pytest.mark.slow
@pytest.mark.parametrize("kind", DECIDED)
async def test_an_answer_means_what_it_says_or_is_refused(attacked: Server, kind: str) -> None:
    async with (
        WsClient(attacked, f"decide {kind}", workflow="hostile") as client,
        WsClient(attacked, f"beside {kind}", user="ben", workflow="probe") as neighbour,
    ):
        calm = [await echo(neighbour) for _ in range(10)]
        async with echoing(neighbour) as busy:
            prompt = await ask(client, kind)
            for answer in thrown():
                await throw(client, prompt, answer)
                told = await asyncio.to_thread(read, attacked, prompt)
                if told["status"] != "pending":
                    assert told["status"] == "answered", answer.says
                    check_meant(told["response"], answer)
                    prompt = await ask(client, kind)
        assert median(busy) < 0.5 + 5 * median(calm)
        assert max(busy) < STALL
    check_log(attacked)


async def ask(client: WsClient, kind: str) -> str:
    prompt = await client.message_until_prompt(f"decide {kind}")
    return str(prompt["interaction_id"])


async def throw(client: WsClient, prompt: str, answer: Thrown) -> None:
    """Answer the prompt, and fail at what no input may get."""
    if answer.door == "socket":
        begin = {"type": "user_interaction_message", "id": uuid4().hex, "interaction_id": prompt}
        await client.send(f"{json.dumps(begin)[:-1]}, {answer.body[1:]}")
        ping = uuid4().hex
        await client.send({"type": "ping_message", "id": ping})
        await client.reply_to(ping)
        assert not [frame for frame in client.frames if is_failure(frame)], answer.says
        client.frames.clear()
        return
    path, body, content_type = f"/p/{prompt}/answer/", answer.body, FORM
    if answer.door == "http":
        path, body = f"/v1/prompts/{prompt}/response", f'{{"response": {body}}}'
        content_type = "application/json"
    headers = {"Content-Type": content_type}
    encoded = body.encode(errors="surrogatepass")
    request = Request(answer.says, path, "POST", headers, encoded)
    response = await asyncio.to_thread(send, client.server, request)
    assert not complaint_about(response), (answer.says, response)


def read(server: Server, prompt: str) -> dict[str, Any]:
    told: dict[str, Any] = Http(server).get(f"/v1/prompts/{prompt}").json()
    return told


def check_meant(response: dict[str, Any], answer: Thrown) -> None:
    """Check that what counts as a decision was said in so many words."""
    value = response.get("value")
    if value in ("approve", "reject", "yes", "no"):
        assert value in answer.body, (answer.says, response)

"""Tests of what a plain client is sent that comes back with a message."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from sessions_app.models import Run
from sessions_app.storage import reads
from sessions_app.workflows import Context, Message, TextPrompt, workflow
from tests.support.hosting import Hosting, make_user
from tests.support.peer_ui import CONSENT_MODE
from tests.wire.live_hosting import live_hosting
from tests.wire.local_socket import LocalSocket

pytestmark = pytest.mark.django_db(transaction=True)

END = {"type": "system_response_message", "status": "complete"}
# Set when a slow answer may go on.
GO_ON: list[asyncio.Event] = []


@workflow(name="t_outage", title="Outage")
async def outage(message: Message, context: Context) -> AsyncGenerator[str, None]:
    word, _, rest = message.text.partition(" ")
    yield f"{rest} "
    if word == "slow":
        await GO_ON[-1].wait()
    if word == "ask":
        yield (await context.ask(TextPrompt(text="name?"))).text
    yield "done "


@pytest.fixture
async def go_on() -> asyncio.Event:
    GO_ON.append(asyncio.Event())
    return GO_ON[-1]


def plain(ann: Any, **query: Any) -> LocalSocket:
    return LocalSocket(ann, **{"extended": None, "conversation_id": "c", **query})


async def until_text(socket: LocalSocket, text: str) -> None:
    await socket.until(lambda frame: text in str(frame.get("content", {}).get("text")))


async def leave(hosting: Hosting, message: str, shown_text: str) -> Any:
    """Have a client say something, and be gone once it surely has that; return its user."""
    ann = await reads.read(make_user, hosting.person.username)
    async with plain(ann) as socket:
        await socket.say(message)
        await until_text(socket, shown_text)
        await socket.arrive()
    return ann


@pytest.mark.parametrize("query", [{}, {"conversation_id": None}])
async def test_no_output_of_the_previous_answer_joins_the_next(
    query: dict[str, Any], go_on: asyncio.Event
) -> None:
    async with live_hosting("t_outage") as hosting:
        ann = await leave(hosting, "slow one", "one ")
        go_on.set()
        await hosting.until_ended((await Run.objects.aget()).pk)
        async with plain(ann, **query) as socket:
            await socket.send({"type": "auth_message", "payload": CONSENT_MODE})
            await socket.say("quick two", id="m2", conversation_id="c")
            await socket.until(lambda frame: frame["status"] == "complete")
            assert {frame["parent_id"] for frame in socket.frames} == {"m2"}
            assert socket.text() == "two done "


@pytest.mark.slow
async def test_the_answer_before_goes_on_if_no_message_follows(go_on: asyncio.Event) -> None:
    async with live_hosting("t_outage") as hosting:
        ann = await leave(hosting, "slow one", "one ")
        async with plain(ann) as socket:
            go_on.set()
            await socket.until(lambda frame: frame["status"] == "complete")
            assert socket.text() == "done "


async def test_parallel_runs_end_with_the_previous_answer(go_on: asyncio.Event) -> None:
    async with live_hosting("t_outage") as hosting:
        hosting.offer(second_message="parallel")
        ann = await leave(hosting, "slow one", "one ")
        async with plain(ann) as socket:
            await socket.say("quick two", id="m2")
            await until_text(socket, "done ")
            await hosting.until_ended((await Run.objects.aget(message_id="m2")).pk)
            go_on.set()
            end = await socket.until(lambda frame: frame.items() >= END.items())
            assert end["parent_id"] != "m2"
            assert socket.text() == "two done done "


async def test_a_pending_prompt_of_the_previous_run_is_asked_again() -> None:
    async with live_hosting("t_outage") as hosting:
        hosting.offer(second_message="enqueue")
        ann = await leave(hosting, "ask one", "name?")
        async with plain(ann) as socket:
            await socket.say("quick two", id="m2")
            await until_text(socket, "name?")
            await socket.answer("Ann")
            await socket.until(lambda frame: frame["status"] == "complete")
            assert socket.text() == "two done "


async def test_a_prompt_of_an_interrupted_run_is_not_asked_again() -> None:
    async with live_hosting("t_outage") as hosting:
        ann = await leave(hosting, "ask one", "name?")
        async with plain(ann) as socket:
            await socket.say("quick two", id="m2")
            await socket.until(lambda frame: frame["status"] == "complete")
            assert not socket.of_type("system_interaction_message")


async def test_a_refused_message_leaves_what_waits_to_be_asked() -> None:
    async with live_hosting("t_outage") as hosting:
        ann = await leave(hosting, "ask one", "name?")
        async with plain(ann, conversation_id=None) as socket:
            await socket.say("", id="m2", conversation_id="c")
            await until_text(socket, "name?")
            await socket.reply_to("m2")


async def test_a_message_that_is_sent_again_gets_the_rest_of_its_answer(
    go_on: asyncio.Event,
) -> None:
    async with live_hosting("t_outage") as hosting:
        ann = await reads.read(make_user, hosting.person.username)
        async with plain(ann) as socket:
            await socket.say("slow one", id="m1")
            await until_text(socket, "one ")
            await socket.arrive()
        async with plain(ann) as socket:
            await socket.say("slow one", id="m1")
            await socket.until_settled()
            go_on.set()
            await socket.until(lambda frame: frame["status"] == "complete")
            assert socket.text() == "done "

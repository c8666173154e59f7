"""Prompts that a plain client shows, or does not, once they are for others."""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import Any
from uuid import UUID

import pytest

from sessions_app import runs
from sessions_app.interactions import claims
from sessions_app.models.people import Person
from sessions_app.runs import requests
from sessions_app.storage import reads
from sessions_app.workflows import Context, Escalation, Message, TextPrompt, user, workflow
from tests.support.hosting import make_user
from tests.support.received_frames import Frame
from tests.wire.live_hosting import live_hosting
from tests.wire.local_socket import LocalSocket

pytestmark = pytest.mark.django_db(transaction=True)

PROMPTS = "system_interaction_message"


@workflow(name="t_reassigned", title="Reassigned")
async def reassigned(message: Message, context: Context) -> AsyncGenerator[str, None]:
    one, two = TextPrompt(text="one?"), TextPrompt(text="two?")
    match message.text:
        case "at once":
            await context.ask_all([one, two])
        case "in turn":
            await context.ask(one)
            await context.ask(two)
        case "of boss, then ann":
            await context.ask(one, to=user("boss"), escalate=Escalation(3600, user("ann")))
    yield "done"


@pytest.fixture
async def people() -> AsyncIterator[dict[str, Any]]:
    async with live_hosting("t_reassigned"):
        yield {name: await reads.read(make_user, name) for name in ("ann", "boss", "cara")}


def plain(ann: Any) -> LocalSocket:
    return LocalSocket(ann, extended=None, conversation_id="c")


async def reassign(prompt: Frame, people: dict[str, Any], *names: str) -> None:
    to = [user(name) for name in names]
    interaction = UUID(prompt["interaction_id"])
    assert await runs.areassign(interaction, to=to, by=people["boss"])


async def until_step(socket: LocalSocket, name: str) -> Frame:
    return await socket.until(
        lambda frame: (
            frame["type"] == "system_intermediate_message" and frame["content"]["name"] == name
        )
    )


async def test_a_note_takes_the_place_of_one_that_is_for_others_now(people: dict[str, Any]) -> None:
    async with plain(people["ann"]) as socket:
        one = await socket.say_until_prompt("in turn")
        await reassign(one, people, "boss")
        note = await socket.until(PROMPTS)
        assert note["content"]["input_type"] == "notification"
        assert note["content"]["text"] == "The question is for boss now."
        assert (note["id"], note["thread_id"]) == (one["id"], one["thread_id"])
        await runs.aanswer(UUID(one["interaction_id"]), "1", by=people["boss"])
        assert (await socket.until(PROMPTS))["content"]["text"] == "two?"


async def test_the_next_takes_the_place_of_one_that_is_for_others_now(
    people: dict[str, Any],
) -> None:
    async with plain(people["ann"]) as socket:
        one = await socket.say_until_prompt("at once")
        await reassign(one, people, "boss")
        two = await socket.until(PROMPTS)
        assert (one["content"]["text"], two["content"]["text"]) == ("one?", "two?")


async def reassigned_to_ann(interaction: str, people: dict[str, Any]) -> None:
    await reassign({"interaction_id": interaction}, people, "ann", "cara")


async def delegated_to_ann(interaction: str, people: dict[str, Any]) -> None:
    boss = Person.of(people["boss"])
    await claims.change("delegate", interaction, to="ann", by=boss, via="page")


async def escalated_to_ann(interaction: str, people: dict[str, Any]) -> None:
    assert await requests.aescalate(interaction, by=people["boss"])


@pytest.mark.parametrize("hand_on", [reassigned_to_ann, delegated_to_ann, escalated_to_ann])
async def test_a_prompt_reassigned_to_the_client_is_asked(
    people: dict[str, Any], hand_on: Callable[[str, dict[str, Any]], Awaitable[None]]
) -> None:
    async with plain(people["ann"]) as socket:
        await socket.say("of boss, then ann")
        step = await until_step(socket, "Waiting for boss")
        await hand_on(step["id"], people)
        one = await socket.until(PROMPTS)
        assert (one["id"], one["content"]["text"]) == (step["id"], "one?")
        await socket.answer("1")
        await socket.until(lambda frame: frame["content"].get("text") == "done")


async def test_a_reassigned_prompt_the_client_may_still_answer_stays(
    people: dict[str, Any],
) -> None:
    async with plain(people["ann"]) as socket:
        one = await socket.say_until_prompt("in turn")
        await reassign(one, people, "ann", "cara")
        await until_step(socket, "Waiting for ann, cara")
        assert socket.of_type(PROMPTS) == [one]
        await socket.answer("1")
        assert (await socket.until(PROMPTS))["content"]["text"] == "two?"


@pytest.mark.slow
async def test_others_that_change_hands_leave_the_one_that_is_shown(
    people: dict[str, Any],
) -> None:
    async with plain(people["ann"]) as socket, LocalSocket(people["ann"]) as page:
        await page.say("at once", conversation_id="c")
        two = await page.until(lambda frame: (frame.get("content") or {}).get("text") == "two?")
        one = await socket.until(PROMPTS)
        await reassign(two, people, "boss")
        await reassign(two, people, "ann")
        await until_step(socket, "Waiting for ann")
        assert socket.of_type(PROMPTS) == [one]
        await socket.answer("1")
        assert (await socket.until(PROMPTS))["id"] == two["id"]

"""Prompts for others than the owner, over sockets: seen, claimed, answered by whoever may."""

from collections.abc import AsyncGenerator, AsyncIterator

import pytest

from sessions_app.storage import reads
from sessions_app.workflows import BinaryPrompt, Context, Message, group, workflow
from tests.support.hosting import make_members, make_user
from tests.wire.live_hosting import live_hosting
from tests.wire.local_socket import LocalSocket

pytestmark = pytest.mark.django_db(transaction=True)


@workflow(name="t_holiday", title="Holiday")
async def holiday(_: Message, context: Context) -> AsyncGenerator[str, None]:
    prompt = BinaryPrompt(text="Give ann 3 days off?", options=["yes", "no"])
    answer = await context.ask(prompt, to=group("managers"))
    yield f"{answer.value} by {answer.by}"


@pytest.fixture
async def hosted() -> AsyncIterator[None]:
    async with live_hosting("t_holiday"):
        yield


@pytest.mark.usefixtures("hosted")
async def test_the_asker_sees_who_is_on_it_and_one_of_the_others_answers() -> None:
    boss, cara = await reads.read(make_members, "managers", "boss", "cara")
    ann, eve = await reads.read(make_user, "ann"), await reads.read(make_user, "eve")
    async with (
        LocalSocket(ann, conversation_id="c") as asker,
        LocalSocket(boss, waiting="inbox") as first,
        LocalSocket(cara, waiting="inbox") as second,
        LocalSocket(eve, waiting="inbox") as stranger,
    ):
        for each in (first, second, stranger):
            await each.until(lambda frame: frame.get("waiting") == 0)
        await asker.say("please")
        assignment = await asker.until("assignment_message")
        assert assignment["content"]["to"] == ["managers"]
        for each in (first, second):
            await each.until(lambda frame: frame.get("waiting") == 1)
        prompt_id = assignment["content"]["interaction_id"]
        for each, change, outcome in (
            (stranger, "claim", "not_found"),
            (asker, "claim", "not_found"),
            (first, "claim", "accepted"),
            (second, "claim", "claimed"),
        ):
            message = {"type": "claim_message", "interaction_id": prompt_id, "change": change}
            await each.send({**message, "id": "k"})
            ack = await each.until(lambda frame: frame.get("for") == "k")
            assert ack["outcome"] == outcome
        assert ack["content"]["assignee"] == "boss"
        update = await asker.until("assignment_update_message")
        assert (update["content"]["change"], update["content"]["by"]) == ("claimed", "boss")
        count_message = await second.until(lambda frame: frame.get("waiting") == 0)
        assert count_message["gone"] == [prompt_id]
        for each, outcome in ((stranger, "not_found"), (second, "claimed"), (first, "accepted")):
            await each.answer("yes", interaction_id=prompt_id, id="a")
            ack = await each.until(lambda frame: frame.get("for") == "a")
            assert ack["outcome"] == outcome
        response = await asker.until("system_response_message")
        assert response["content"]["text"] == "yes by boss"
        assert not asker.of_type("system_interaction_message")
        assert [frame["waiting"] for frame in stranger.of_type("waiting_message")] == [0]


@pytest.mark.usefixtures("hosted")
async def test_a_plain_client_sees_a_step_that_lasts_until_it_is_answered() -> None:
    [boss] = await reads.read(make_members, "managers", "boss")
    ann = await reads.read(make_user, "ann")
    async with (
        LocalSocket(ann, extended=None, conversation_id="c") as asker,
        LocalSocket(boss) as answers,
    ):
        await asker.say("please")
        step_begin = await asker.until("system_intermediate_message")
        assert (step_begin["content"]["name"], step_begin["status"]) == (
            "Waiting for managers",
            "in_progress",
        )
        assert step_begin["content"]["payload"] == "Give ann 3 days off?"
        await answers.answer("no", interaction_id=step_begin["id"], id="a")
        await asker.until(lambda frame: frame.get("content") == {"text": "no by boss"})
        steps = asker.of_type("system_intermediate_message")
        assert [(one["id"], one["status"]) for one in steps] == [
            (step_begin["id"], "in_progress"),
            (step_begin["id"], "complete"),
        ]
        assert steps[-1]["content"]["name"] == "boss has answered the question."

"""Tests of answers: accepted once, acknowledged again, or refused with a reason."""

import asyncio
from collections.abc import AsyncGenerator
from copy import copy
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from django.utils import timezone

from sessions_app import runs
from sessions_app.errors import Invalid
from sessions_app.interactions import answers
from sessions_app.interactions.answers import IncomingAnswer, Outcome, answer_in_name, check_in_name
from sessions_app.interactions.settlement import Settlement, find_interactions, settle
from sessions_app.lifecycle import due
from sessions_app.models import Conversation, Event, Interaction, Run
from sessions_app.models.people import Person
from sessions_app.prompts import TextAnswer
from sessions_app.storage import reads
from sessions_app.storage.records import EventRecord
from sessions_app.storage.transaction import Transaction
from sessions_app.storage.writer import writer
from sessions_app.workflows import (
    BinaryPrompt,
    Context,
    Message,
    TextPrompt,
    workflow,
)
from tests.support.hosting import Hosting, asking, django_user, make_user, running

pytestmark = pytest.mark.django_db(transaction=True)


@workflow(name="t_two", title="Two questions")
async def two(message: Message, context: Context) -> AsyncGenerator[str, None]:
    first = await context.ask(BinaryPrompt(text="first", options=["yes", "no"]))
    second = await context.ask(TextPrompt(text="second"))
    yield f"{first.value}|{second.text}"


async def updates(hosting: Hosting) -> list[EventRecord]:
    return [e for e in await hosting.events() if e.type == Event.Type.INTERACTION_UPDATE]


async def test_the_same_answer_again_is_acknowledged_again_and_writes_nothing() -> None:
    async with asking("t_two") as (hosting, run, prompt):
        first = await hosting.answer("yes", prompt, answer_id="a1")
        [_] = await hosting.prompts(run)
        count = len(await hosting.events())
        second_result = await hosting.answer("yes", prompt, answer_id="a1")
        assert (first.outcome, second_result.outcome) == (Outcome.ACCEPTED, Outcome.DUPLICATE)
        assert second_result.response == {"value": "yes"}
        assert len(await hosting.events()) == count


@workflow(name="t_close_deadline", title="A deadline")
async def deadline(message: Message, context: Context) -> str:
    prompt = BinaryPrompt(text="Go?", options=["yes", "no"], timeout=600, default="no")
    answer = await context.ask(prompt)
    return f"{answer.value} {answer.is_default}"


async def test_an_answer_just_given_wins_over_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    """The prompt is found to be due; the answer is committed just before the settlement."""
    expire = due.expire
    expired: list[UUID] = []

    def too_late(tx: Transaction, interaction: UUID) -> None:
        incoming = IncomingAnswer("a1", "test", TextAnswer("yes"), interaction=str(interaction))
        answer_result = answer_in_name(tx, by, check_in_name(interaction, incoming))
        # The worker's own maintenance may expire the prompt at the same time.
        assert answer_result.outcome in (Outcome.ACCEPTED, Outcome.DUPLICATE)
        expire(tx, interaction)
        expired.append(interaction)

    monkeypatch.setattr(due, "expire", too_late)
    async with Hosting("t_close_deadline") as hosting:
        by = hosting.person
        run, prompt = await hosting.submit_until_prompt()
        monkeypatch.setattr(due, "is_due", lambda: True)
        monkeypatch.setattr(due, "due_interactions", lambda *_: [] if expired else [prompt.id])
        await hosting.settle_due()
        assert set(expired) == {prompt.id}
        assert await hosting.result(run) == "yes False"
        assert len(await updates(hosting)) == 1


@pytest.mark.parametrize(("value", "answer_id"), [("no", "a1"), ("yes", "a2"), ("bogus", "a1")])
async def test_any_other_late_answer_names_who_answered(value: str, answer_id: str) -> None:
    async with asking("t_two") as (hosting, _, prompt):
        await hosting.answer("yes", prompt, answer_id="a1")
        late = await hosting.answer(value, prompt, answer_id=answer_id)
        assert (late.outcome, late.status) == (Outcome.STALE, Interaction.Status.ANSWERED)
        assert (late.by, late.response, late.via) == ("ann", {"value": "yes"}, "test")
        assert late.at is not None


async def test_a_late_answer_is_never_applied_to_the_next_prompt() -> None:
    async with asking("t_two") as (hosting, run, first):
        await hosting.answer("yes", first)
        [second] = await hosting.prompts(run)
        # A plain client names the prompt by the id of its answer.
        incoming = IncomingAnswer(str(first.id), "test", TextAnswer("no"), names=[str(first.id)])
        late = await answers.answer(by=hosting.person, conversation_id="c", answer=incoming)
        assert late.outcome == Outcome.STALE
        await hosting.submit_until_prompt(conversation="another")
        elsewhere = await answers.answer(
            by=hosting.person, conversation_id="another", answer=incoming
        )
        assert elsewhere.outcome == Outcome.NOT_FOUND
        assert await hosting.complete(run, "mine", second) == "yes|mine"


async def test_an_answer_to_a_suspended_run_waits_with_it() -> None:
    async with asking("t_two") as (hosting, run, prompt):
        row = Run.objects.filter(pk=run)
        await reads.read(lambda: row.update(status=Run.Status.SUSPENDED))
        await hosting.restart()
        assert (await hosting.answer("yes", prompt)).outcome == Outcome.ACCEPTED
        assert (await reads.read(row.get)).status == Run.Status.SUSPENDED
        await runs.aresume(run, by=django_user("boss"))
        await hosting.prompts(run)
        assert await hosting.complete(run, "mine") == "yes|mine"


async def test_foreign_and_unknown_prompts_get_the_same_refusal() -> None:
    async with asking("t_two") as (hosting, _, prompt):
        ben, ann = Person.of(await reads.read(make_user, "ben")), hosting.person
        for by, conversation, interaction in [
            (ben, "c", str(prompt.id)),
            (ben, None, str(prompt.id)),
            (ann, "c", "8c4ffb4f-7a0b-4c50-8d4f-1f50b4f0b0a9"),
            (ann, "another", str(prompt.id)),
            (ann, "c", "no uuid"),
        ]:
            answer = IncomingAnswer("x", "test", TextAnswer("yes"), interaction=interaction)
            answer_result = await answers.answer(by=by, conversation_id=conversation, answer=answer)
            assert answer_result == answers.AnswerResult(Outcome.NOT_FOUND)


async def test_one_of_many_concurrent_answers_is_accepted() -> None:
    async with asking("t_two") as (hosting, _, prompt):
        racing = [hosting.answer(["yes", "no"][n % 2], prompt) for n in range(50)]
        outcomes = [answer_result.outcome for answer_result in await asyncio.gather(*racing)]
        assert sorted(set(outcomes)) == [Outcome.ACCEPTED, Outcome.STALE]
        assert outcomes.count(Outcome.ACCEPTED) == 1
        assert len(await updates(hosting)) == 1


@workflow(name="t_both", title="Two at once")
async def both(message: Message, context: Context) -> str:
    answers = await context.ask_all([TextPrompt(text="first"), TextPrompt(text="second")])
    return " ".join(answer.text for answer in answers)


async def test_an_answer_that_names_none_of_several_is_told_them_and_taken_for_the_last() -> None:
    async with running("t_both") as (hosting, run):
        first, second = await hosting.prompts(run, 2)
        incoming = IncomingAnswer("a1", "test", TextAnswer("x"))
        with pytest.raises(Invalid, match="2 prompts are pending") as refusal:
            await answers.answer(by=hosting.person, conversation_id="c", answer=incoming)
        assert refusal.value.details["pending"] == [
            {"interaction_id": str(first.id), "text": "first"},
            {"interaction_id": str(second.id), "text": "second"},
        ]
        await hosting.answer("1", first)
        result = await answers.answer(by=hosting.person, conversation_id="c", answer=incoming)
        assert (result.outcome, result.interaction) == (Outcome.ACCEPTED, second.id)
        assert await hosting.result(run) == "1 x"


async def test_a_question_of_a_deleted_conversation_ends_at_its_deadline() -> None:
    async with asking("t_close_deadline") as (hosting, run, prompt):
        conversations, row = Conversation.objects.all(), Interaction.objects.filter(pk=prompt.pk)
        await reads.read(lambda: conversations.update(deleted_at=timezone.now()))
        await reads.read(lambda: row.update(expires_at=timezone.now()))
        await hosting.settle_due()
        await hosting.until_ended(run)
        assert (await reads.read(row.get)).status == "expired"


async def test_a_settlement_that_comes_second_writes_nothing() -> None:
    async with asking("t_two") as (hosting, _, prompt):

        def settle_twice(tx: Transaction) -> list[bool]:
            [record] = find_interactions(interaction=prompt.id)
            answered = Interaction.Status.ANSWERED
            both = (
                Settlement(answered, "test", {"value": value}, hosting.person, f"say {value}")
                for value in ("yes", "no")
            )
            return [settle(tx, record, settlement) for settlement in both]

        assert await writer.write(settle_twice) == [True, False]
        row = await reads.read(Interaction.objects.get, pk=prompt.pk)
        assert (row.status, row.version, row.response) == ("answered", 2, {"value": "yes"})
        assert (row.answered_by_id, row.answered_via) == (hosting.person.id, "test")
        assert row.answer_id == "say yes"
        [update] = await updates(hosting)
        assert update.payload == {
            "interaction_id": str(prompt.id),
            "status": "answered",
            "version": 2,
            "response": {"value": "yes"},
            "by": "ann",
            "at": update.created_at.isoformat(),
            "via": "test",
        }


async def test_questions_that_were_answered_in_time_are_not_looked_at_when_it_is_over() -> None:
    async with asking("t_close_deadline") as (hosting, _, prompt):
        over = timezone.now() - timedelta(days=1)
        prompt.status, prompt.expires_at, prompt.position = "answered", over, None
        settled = [copy(prompt) for _ in range(due.EVENTS_AT_ONCE)]
        for row in settled:
            row.pk = uuid4()
        await Interaction.objects.abulk_create(settled)
        await Interaction.objects.filter(pk=prompt.pk).aupdate(expires_at=timezone.now())
        async with asyncio.timeout(20):  # a failure would search without end
            await hosting.settle_due()
        assert (await Interaction.objects.aget(pk=prompt.pk)).status == "expired"


async def test_a_deadline_that_cannot_be_met_keeps_no_other_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A prompt's class is missing; in the cluster, take-over comes after the deadlines."""
    monkeypatch.setattr(due, "EVENTS_AT_ONCE", 1)
    async with asking("t_close_deadline") as (hosting, _, broken):
        await Interaction.objects.filter(pk=broken.pk).aupdate(prompt={"input_type": "gone"})
        _, prompt = await hosting.submit_until_prompt(conversation="d")
        for one in (broken, prompt):
            rows = Interaction.objects.filter(pk=one.pk)
            await rows.aupdate(expires_at=timezone.now())
        await hosting.settle_due()
        statuses = [(await Interaction.objects.aget(pk=one.pk)).status for one in (broken, prompt)]
        assert statuses == ["pending", "expired"]


async def test_an_answer_at_the_deadline_loses_to_the_default() -> None:
    async with asking("t_close_deadline") as (hosting, run, prompt):
        row = Interaction.objects.filter(pk=prompt.pk)
        await reads.read(lambda: row.update(expires_at=timezone.now()))
        # Before the maintenance checks deadlines.
        answer_result = await hosting.answer("yes", prompt)
        assert answer_result.outcome == Outcome.EXPIRED
        await hosting.until_ended(run)
        expired = await reads.read(row.get)
        assert (expired.status, expired.answered_via) == ("expired", "deadline")
        assert (answer_result.via, answer_result.by) == ("deadline", None)
        assert await hosting.output(run) == "no True"


@workflow(name="t_unstorable", title="A character that no database takes")
async def unstorable(message: Message, context: Context) -> str:
    return (await context.ask(TextPrompt(text="a\0b", details={"one": [1.0, "\ud800", None]}))).text


async def test_row_and_event_have_the_same_prompt() -> None:
    async with asking("t_unstorable") as (hosting, run, row):
        [event] = [e for e in await hosting.events() if e.type == Event.Type.INTERACTION]
        assert event.payload["prompt"] == row.prompt
        assert (row.prompt["text"], row.prompt["details"]["one"]) == ("a�b", [1.0, "�", None])
        assert await hosting.complete(run, "yes") == "yes"

"""Tests of many waiting runs: they are only rows, and do not slow other runs down."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.utils import timezone

from sessions_app.models import Conversation, Event, Interaction, Run
from sessions_app.storage import reads
from sessions_app.storage.lineage import count_unfinished
from sessions_app.workflows import BinaryPrompt, TextPrompt
from tests.inbox.many_prompts import NOW, new_conversation, new_prompt, new_run
from tests.support.hosting import Hosting, until
from tests.support.workflows import probe

pytestmark = pytest.mark.django_db(transaction=True)

assert probe  # the import declares the workflow

COUNT = 2_000


def park(owner: int, count: int, prompt: TextPrompt | BinaryPrompt, **fields: object) -> None:
    """Insert the rows that so many parked runs of `ask` leave."""
    user = get_user_model().objects.get(pk=owner)
    asked = {"prompt": prompt.model_dump(mode="json"), "name": prompt.kind, "due_at": None}
    conversations, runs, prompts, events = [], [], [], []
    for number in range(count):
        conversation = new_conversation(user, f"parked{number}", workflow="probe", last_sequence=2)
        run = new_run(conversation)
        run.started_at = NOW
        conversations.append(conversation)
        runs.append(run)
        prompts.append(new_prompt(run, 1, **asked, **fields))
        of: dict[str, Any] = {"conversation": conversation, "run": run, "created_at": NOW}
        for at, type_ in ((1, "user_message"), (2, "interaction")):
            of |= {"first_sequence": at, "sequence": at, "type": type_}
            of["payload"] = {"text": "ask()"}
            events.append(Event(**of))
    made: list[tuple[Any, list[Any]]] = [(Conversation, conversations), (Run, runs)]
    for model, rows in [*made, (Interaction, prompts), (Event, events)]:
        model.objects.bulk_create(rows, batch_size=500)


@pytest.mark.slow
async def test_two_thousand_parked_runs_take_no_host_and_one_answer_wakes_one() -> None:
    async with Hosting("probe", max_concurrency=2) as hosting:
        await reads.read(park, hosting.user, COUNT, TextPrompt(text="prompt-1"))
        await hosting.restart()
        assert hosting.hosted() == []
        new = await hosting.submit('echo("hello")', conversation="new")
        assert (await hosting.until_ended(new)).status == Run.Status.COMPLETED
        [one] = await until(lambda: list(Interaction.objects.order_by("id")[:1]))
        await hosting.answer_any("yes", one)
        assert await hosting.result(one.run_id) == "yes"
        assert len(hosting.hosted()) <= 2
        waiting = await reads.read(lambda: Run.objects.filter(status="waiting").count())
        assert waiting == COUNT - 1


@pytest.mark.slow
async def test_deadlines_that_passed_together_are_each_settled_once() -> None:
    count = 450
    prompt = BinaryPrompt(text="?", options=["yes", "no"], timeout=60, default="no")
    async with Hosting("probe") as hosting:
        past = timezone.now() - timedelta(hours=1)
        await reads.read(park, hosting.user, count, prompt, expires_at=past)
        for _ in range(4):
            await hosting.settle_due()
        expired = await reads.read(
            lambda: list(Interaction.objects.filter(status="expired").values_list("response"))
        )
        assert expired == [({"value": "no"},)] * count
        updates = Event.objects.filter(type=Event.Type.INTERACTION_UPDATE)
        assert await reads.read(updates.count) == count


def finish(owner: int, count: int) -> None:
    """Insert a conversation of the owner with so many ended runs."""
    now = timezone.now()
    conversation = Conversation.objects.create(
        owner_id=owner, conversation_id=f"{count}", workflow="probe", created_at=now, updated_at=now
    )
    run_fields = {"key": "k", "text": "x", "status": Run.Status.COMPLETED, "created_at": now}
    Run.objects.bulk_create(
        Run(conversation=conversation, message_id=f"m{number}", **run_fields)
        for number in range(count)
    )


def steps_to_count(owner: int) -> int:
    """Return SQLite's steps (of 100 instructions) for counting the owner's unfinished runs."""
    steps: list[None] = []
    connection.ensure_connection()
    connection.connection.set_progress_handler(lambda: steps.append(None), 100)
    assert count_unfinished(owner, 100) == 0
    connection.connection.set_progress_handler(None, 0)
    return len(steps)


@pytest.mark.slow
@pytest.mark.local_only(reason="SQLite tells how many steps a read takes")
async def test_runs_that_have_ended_are_not_read_to_count_those_that_have_not() -> None:
    async with Hosting("probe") as hosting:
        await reads.read(finish, hosting.user, 1000)
        assert await reads.read(steps_to_count, hosting.user) < 10

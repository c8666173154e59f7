"""Tests of assigned prompts in Python: answers for users, in the caller's transaction."""

import asyncio
import threading
from uuid import uuid4

import pytest
from django.db import transaction

from sessions_app import runs
from sessions_app.errors import Invalid, NotFound
from sessions_app.models import AuditEntry, Interaction
from sessions_app.models.people import users
from sessions_app.storage import reads, sql
from sessions_app.workflows import user
from tests.runtime.assignment.asking import asks, people
from tests.support.hosting import Hosting, until

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.slow
async def test_a_reassignment_is_the_callers_to_roll_back() -> None:
    asks()
    async with Hosting("t_assigned") as hosting:
        await reads.read(people, "boss", "other")
        [prompt] = await hosting.prompts(await hosting.submit())

        def all_of_it() -> None:
            ann, boss = (users().get(username=name) for name in ("ann", "boss"))
            with pytest.raises(NotFound):
                runs.reassign(uuid4(), to=boss, by=ann)
            with pytest.raises(Invalid, match="user 'nobody' does not exist"):
                runs.reassign(prompt.pk, to=user("nobody"), by=ann)
            with transaction.atomic():
                assert runs.reassign(prompt.pk, to=boss, by=ann)
                transaction.set_rollback(True)
            assert Interaction.objects.get(pk=prompt.pk).assignment is None
            assert not AuditEntry.objects.exists()
            assert runs.reassign(prompt.pk, to=boss, by=ann)
            _opened, entry = AuditEntry.objects.order_by("at")
            assert (entry.action, entry.by_name, entry.via) == ("reassigned", "ann", "python")

        await hosting.in_thread(all_of_it)
        assert (await hosting.answer("yes", prompt)).outcome == "not_found"
        boss = await reads.read(lambda: users().get(username="boss"))
        assert (await runs.aclaim(prompt.pk, by=boss)).assignee == "boss"
        assert (await runs.arelease(prompt.pk, by=boss)).assignee is None
        assert await runs.areassign(prompt.pk, to=user("ann"), by=boss)
        assert (await hosting.answer("yes", prompt)).outcome == "accepted"


WAITING = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"


@pytest.mark.cluster_only("one writer waits for nobody")
async def test_the_owner_cannot_answer_what_is_being_reassigned() -> None:
    asks()
    async with Hosting("t_assigned") as hosting:
        await reads.read(people, "boss")
        [prompt] = await hosting.prompts(await hosting.submit())
        held, let_go = threading.Event(), threading.Event()

        def reassign() -> None:
            ann, boss = (users().get(username=name) for name in ("ann", "boss"))
            with transaction.atomic():
                runs.reassign(prompt.pk, to=boss, by=ann)
                held.set()
                let_go.wait(10)

        reassignment = asyncio.create_task(hosting.in_thread(reassign))
        await asyncio.to_thread(held.wait, 10)
        answer = asyncio.create_task(hosting.answer("yes", prompt))
        await until(lambda: sql.fetch(WAITING, ()))
        let_go.set()
        await reassignment
        assert (await answer).outcome == "not_found"

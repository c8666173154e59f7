"""Tests of what operators do in the admin, on hosted runs."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.contrib.admin.utils import quote
from django.utils import timezone

from sessions_app.errors import StorageUnavailable
from sessions_app.hosting.lease import this_process
from sessions_app.lifecycle.processes import record_builders
from sessions_app.models import (
    Arrival,
    Conversation,
    HostLease,
    Interaction,
    JournalEntry,
    Process,
    Run,
)
from sessions_app.storage import reads
from sessions_app.storage.run_text import text_of
from sessions_app.storage.writer import Work, writer
from tests.contrib.operations.administrator import answer_page, history, host_and_operate
from tests.support.database import operator_rows
from tests.support.hosting import Hosting, until, until_true
from tests.support.workflows import probe

pytestmark = pytest.mark.django_db(transaction=True)

assert probe  # importing it declares it

DAY = timedelta(days=1)


async def test_stop_ends_a_run_that_waits() -> None:
    async with host_and_operate(Hosting("probe")) as (hosting, boss):
        run, _ = await hosting.submit_until_prompt("ask()")
        assert "asked to stop" in await boss.act("run", "cancel", run)
        assert (await hosting.until_ended(run)).status == Run.Status.CANCELLED
        assert "not asked to stop. It has ended." in await boss.act("run", "cancel", run)
        assert await history() == ["boss: asked to stop by an operator"]


async def test_an_answer_is_given_in_the_operator_s_name() -> None:
    async with host_and_operate(Hosting("probe", park_after=0)) as (hosting, boss):
        run, prompt = await hosting.submit_until_prompt("approve(count=1)")
        assert 'value="continue"' in await boss.act("interaction", "answer", prompt)
        page = answer_page(prompt.pk)
        assert "Select a valid choice" in await boss.post(page, {"answer": "x"})
        assert "Answered." in await boss.post(page, {"answer": "continue"})
        assert await hosting.result(run) == "continue"
        settled_prompt = await reads.read(lambda: Interaction.objects.get(pk=prompt.pk))
        assert (settled_prompt.answered_via, settled_prompt.status) == ("admin", "answered")
        assert await history() == ["boss: answered by an operator: continue"]
        late = await boss.post(page, {"answer": "cancel"})
        assert "Your answer was: cancel – boss already answered this question. (20" in late


async def test_an_invalid_answer_is_explained_and_the_next_one_has_plain_line_ends() -> None:
    async with host_and_operate(Hosting("probe")) as (hosting, boss):
        run, prompt = await hosting.submit_until_prompt("ask()")
        _, other = await hosting.submit_until_prompt("ask()", conversation="d")
        page = await boss.post(answer_page(prompt.pk), {"answer": " "})
        assert "This prompt needs an answer" in page
        assert "Answer one at a time." in await boss.act("interaction", "answer", prompt, other)
        await boss.post(answer_page(prompt.pk), {"answer": "two\r\nlines"})
        assert await hosting.result(run) == "two\nlines"


async def test_what_the_database_could_not_save_is_said_and_the_others_go_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write_now, faults = writer.write_now, [StorageUnavailable(), None, StorageUnavailable()]

    def write_or_fail(work: Work[Any]) -> Any:
        if faults and (fault := faults.pop()):
            raise fault
        return write_now(work)

    async with host_and_operate(Hosting("probe")) as (hosting, boss):
        runs = [await hosting.submit("ask()", conversation=name) for name in ("c", "d")]
        (prompt,) = await hosting.prompts(runs[0])
        monkeypatch.setattr(writer, "write_now", write_or_fail)
        page = await boss.act("run", "cancel", *runs)
        assert ("could not save this" in page, "asked to stop." in page) == (True, True)
        page = await boss.post(answer_page(prompt.pk), {"answer": "typed"})
        assert ("could not save this" in page, "typed</textarea>" in page) == (True, True)


async def test_several_choices_are_given_at_once() -> None:
    async with host_and_operate(Hosting("expense_approval")) as (hosting, boss):
        run = await hosting.submit("Taxi 10")
        for value in ("Sales", "card", ["receipt", "guests"]):
            (prompt,) = await hosting.prompts(run)
            await boss.post(answer_page(prompt.pk), {"answer": value})
        (prompt,) = await hosting.prompts(run)
        settled_prompt = await reads.read(lambda: Interaction.objects.get(position=3))
        assert settled_prompt.response == {"values": ["receipt", "guests"]}


async def test_expire_brings_the_declared_outcome_early() -> None:
    reviewed = Hosting("parallel_review", options={"reviewers": ["One"]})
    async with host_and_operate(reviewed) as (hosting, boss):
        run, prompt = await hosting.submit_until_prompt("text")
        assert "expired." in await boss.act("interaction", "expire", prompt)
        await hosting.until_ended(run)
        assert "| One | abstained | nobody in time |" in await hosting.output(run)
        assert "It is settled already." in await boss.act("interaction", "expire", prompt)
        listed = "interaction/?status__exact=pending"  # as it was when the list was loaded
        selected = {"action": "expire", "_selected_action": prompt.pk, "index": 0}
        again = await boss.post(f"/admin/sessions_app/{listed}", selected)
        assert "It is settled already." in again
        assert await history() == ["boss: expired by an operator"]
        assert (await reads.read(Interaction.objects.get)).answered_via == "admin"


@pytest.mark.slow
async def test_a_run_that_cannot_be_resumed_keeps_no_other_back() -> None:
    async with host_and_operate(Hosting("probe")) as (hosting, boss):
        run, _ = await hosting.submit_until_prompt("ask()")
        assert "It has not failed and is not suspended, or" in await boss.act("run", "resume", run)
        deleted, _ = await hosting.submit_until_prompt("ask()", conversation="d")
        await hosting.stop()
        suspended = {"status": "suspended", "crashes": 3, "error": {"code": "x", "message": "y"}}
        await Run.objects.aupdate(**suspended)
        await Conversation.objects.filter(runs=deleted).aupdate(deleted_at=timezone.now())
        await hosting.start()
        page = await boss.act("run", "resume", run, deleted)
        assert "The conversation of this run was deleted by its owner." in page
        assert "resumed." in page
        assert await hosting.complete(run, "yes") == "yes"
        reasons = [event.payload.get("reason") for event in await hosting.events()]
        assert "resumed by boss" in reasons


@pytest.mark.parametrize("idle", [False, True])
async def test_a_builder_is_closed_once_nothing_uses_it(*, idle: bool) -> None:
    async with host_and_operate(Hosting("expense_approval")) as (hosting, boss):
        run, _ = await hosting.submit_until_prompt("Taxi 10")

        async def stop() -> None:
            await boss.act("run", "cancel", run)
            await hosting.until_ended(run)

        if idle:
            await stop()
        assert await until_true(hosting.hosts.builders)
        lease = await reads.read(HostLease.objects.get)
        assert "asked to close its builder" in await boss.act("hostlease", "evict", lease)
        if not idle:
            assert "asked to close" in await boss.get("/admin/sessions_app/hostlease/")
            assert hosting.hosts.builders()
            await stop()
        await until_true(lambda: not hosting.hosts.builders())
        await until(HostLease.objects.filter(evict_requested_at=None).exists)
        expected = ["asked to close its builder", "asked to stop"]
        assert await history() == [
            f"boss: {one} by an operator" for one in (expected[::-1] if idle else expected)
        ]


async def test_a_key_without_a_builder_is_left_alone() -> None:
    async with host_and_operate(Hosting("probe")) as (hosting, boss):
        await hosting.prompts(await hosting.submit("ask()"))
        lease = await reads.read(HostLease.objects.get)
        assert "It has no builder." in await boss.act("hostlease", "evict", lease)


async def test_another_worker_takes_over_what_a_dead_one_held() -> None:
    async with host_and_operate(Hosting("probe")) as (hosting, boss):
        await hosting.submit_until_prompt("ask()")
        await hosting.stop()
        await reads.read(operator_rows.process, "worker:1", "worker")
        await reads.read(operator_rows.process, this_process(), "both")
        await hosting.start()
        lease_fields = {"released_at": None, "worker": "worker:1", "generation": 5}
        await reads.read(lambda: HostLease.objects.update(**lease_fields))
        lease = await reads.read(HostLease.objects.get)
        refusal_text = "It has no host, or the worker of its host is alive."
        assert refusal_text in await boss.act("hostlease", "take_over", lease)
        dead = Process.objects.filter(name="worker:1")
        await reads.read(lambda: dead.update(last_seen=lease.started_at - DAY))
        assert "taken over" in await boss.act("hostlease", "take_over", lease)
        await until(HostLease.objects.filter(worker=this_process(), generation=7).exists)
        assert refusal_text in await boss.act("hostlease", "take_over", lease)


async def test_a_live_builder_is_recorded_and_forgotten_with_its_end() -> None:
    async with host_and_operate(Hosting("expense_approval")) as (hosting, boss):
        await hosting.prompts(await hosting.submit("Taxi 10"))
        builders = hosting.builders()
        await record_builders(builders, {})
        lease = await reads.read(HostLease.objects.get)
        assert lease.metrics["ref_count"] == 1
        live = "/admin/sessions_app/hostlease/?builder=live"
        assert quote(lease.key) in await boss.get(live)
        await record_builders({}, builders)
        assert quote(lease.key) not in await boss.get(live)
        await record_builders(builders, {})
        await hosting.restart()
        await record_builders(hosting.builders(), builders)
        assert quote(lease.key) not in await boss.get(live)


async def test_a_process_that_lost_a_key_describes_its_builder_no_more() -> None:
    async with Hosting("expense_approval") as hosting:
        await hosting.prompts(await hosting.submit("Taxi 10"))
        builders = hosting.builders()
        await record_builders(builders, {})
        others = {"worker": "other:1", "metrics": {"ref_count": 7}}
        await reads.read(lambda: HostLease.objects.update(**others))
        await hosting.stop()
        await reads.read(lambda: HostLease.objects.update(**others))
        await record_builders({}, builders)
        lease = await reads.read(HostLease.objects.get)
        assert lease.metrics == {"ref_count": 7}


@pytest.mark.local_only("there a start knows that no other process is left")
async def test_keys_of_a_dead_process_are_free_after_the_next_start() -> None:
    async with Hosting("expense_approval") as hosting:
        await hosting.prompts(await hosting.submit("Taxi 10"))
        await hosting.stop()
        lease_fields = {"released_at": None, "worker": "dead:1", "metrics": {"ref_count": 1}}
        await reads.read(lambda: HostLease.objects.update(**lease_fields))
        await hosting.start()
        lease = await reads.read(HostLease.objects.get)
        assert lease.released_at is not None
        assert lease.metrics == {}


@pytest.mark.slow
async def test_a_run_is_forked_from_a_position_that_is_chosen() -> None:
    async with host_and_operate(Hosting("probe")) as (hosting, boss):
        run = await hosting.submit("ask()")
        await hosting.answer("yes", (await hosting.prompts(run))[0])
        await hosting.until_ended(run)
        page = await boss.act("run", "fork", run)
        assert "1 · question " in page
        assert "2 · what comes after all of these" in page
        fields = {"position": 1, "key": "k"}
        for _ in range(2):  # a second click makes no second run
            page = await boss.post(f"/admin/sessions_app/run/{run}/fork/", fields)
            assert "This is the new run." in page
            assert str(run) in page
        [fork] = await reads.read(lambda: list(Run.objects.filter(forked_from=run)))
        assert str(fork.id) in await boss.get(f"/admin/sessions_app/run/{run}/change/")
        assert f"boss: forked from position 1 by an operator: {fork.id}" in await history()
        await hosting.prompts(fork.id)

        response_text = await boss.post(
            f"/admin/sessions_app/run/{run}/fork/", fields | {"position": 9}
        )
        assert "not one of the available choices" in response_text
        assert "Fork one at a time." in await boss.act("run", "fork", run, fork)


@pytest.mark.slow
async def test_an_operator_sends_an_awaited_message_once() -> None:
    async with host_and_operate(Hosting("probe")) as (hosting, boss):
        run = await hosting.submit("wait_for(count=2)")
        await _waits(run)
        own, form = f"/admin/sessions_app/run/{run}/change/", f"/admin/sessions_app/run/{run}/send/"
        assert 'value="send"' in await boss.get(own)
        page = await boss.act("run", "send", run)
        assert 'name="name" value="n"' in page

        wrong = await boss.post(form, {"name": "m", "payload": "1", "key": "k"})
        assert "not one of the available choices" in wrong
        assert "Enter a valid JSON" in await boss.post(
            form, {"name": "n", "payload": "{", "key": "k"}
        )
        fields = {"name": "n", "payload": '{"paid": 20}', "key": "k"}
        for _ in range(2):  # a second click sends nothing to the second wait
            assert "sent n." in await boss.post(form, fields)
        assert await history() == ["boss: sent n by an operator"]
        await _waits(run)
        await boss.post(form, {"name": "n", "payload": "", "key": "l"})
        await hosting.until_ended(run)
        assert await reads.read(text_of, run) == "{'paid': 20}|None"


async def test_an_operator_sends_nothing_to_a_run_that_waits_for_nothing() -> None:
    async with host_and_operate(Hosting("probe")) as (hosting, boss):
        run, _ = await hosting.submit_until_prompt("ask()")
        assert 'value="send"' not in await boss.get(f"/admin/sessions_app/run/{run}/change/")
        assert "waits for nothing" in await boss.act("run", "send", run)
        fields = {"name": "n", "payload": "1", "key": "k"}
        await boss.post(f"/admin/sessions_app/run/{run}/send/", fields)
        assert not await reads.read(Arrival.objects.exists)
        other = await hosting.submit("ask()", conversation="other")
        assert "Send to one at a time." in await boss.act("run", "send", run, other)


async def _waits(run: UUID) -> None:
    """Wait until the run waits for something that is sent."""
    waits = JournalEntry.objects.filter(run=run, kind="wait", finished_at=None)
    await until(waits.exists)

"""Tests of steps that are called at most once: `context.step(…, once=True)`."""

import asyncio
from typing import ClassVar

import pytest

from sessions_app import runs
from sessions_app.contrib.testing.hosting import NewHosting
from sessions_app.contrib.testing.polling import until
from sessions_app.errors import StepFailed
from sessions_app.models import JournalEntry, Run
from sessions_app.storage import reads
from sessions_app.workflows import Context, Message, OutcomeUnknown, TextPrompt, workflow
from tests.support.hosting import SentTo, django_user


class Payment:
    """A payment that counts how often it was begun, and ends when it may."""

    begun: ClassVar[int] = 0
    may_end: ClassVar[asyncio.Event] = asyncio.Event()


@pytest.fixture(autouse=True)
def _no_payment() -> None:
    Payment.begun = 0
    Payment.may_end = asyncio.Event()


async def pay(euro: int) -> str:
    Payment.begun += 1
    await Payment.may_end.wait()
    if not euro:
        raise ValueError("nothing to pay")
    return f"{euro} € are paid"


@workflow(name="t_once", title="Once")
async def once(message: Message, context: Context) -> str:
    euro, _, title = message.text.partition(" ")
    try:
        paid: str = await context.step(pay, int(euro), title=title, once=True)
    except OutcomeUnknown as error:
        paid = f"unknown ({error.step}, {error.error_type})"
    except StepFailed as error:
        paid = f"failed ({error.error_type})"
    answer = await context.ask(TextPrompt(text=paid))
    return f"{paid}: {answer.text}"


async def test_step_that_ends_is_recorded_as_any_other(host_workflow: NewHosting) -> None:
    Payment.may_end.set()
    async with host_workflow("t_once", replay_everywhere=True) as hosting:
        assert await hosting.converse("5", {"paid": "good"}) == "5 € are paid: good"
        assert await hosting.converse("0", {"failed": "pity"}) == "failed (ValueError): pity"
    assert Payment.begun == 2


@pytest.mark.slow
@pytest.mark.parametrize("text", ["5", "5 Pay"])
async def test_step_that_a_crash_cut_is_not_called_again(sent_to: SentTo, text: str) -> None:
    async with sent_to("t_once", text) as (hosting, run):
        await until(lambda: Payment.begun == 1)
        await hosting.crash()
        [question] = await run.prompts()
        assert question.text == "unknown (pay, OutcomeUnknown)"
        await hosting.crash()
        await run.answer("ask them")
        assert await run.result() == "unknown (pay, OutcomeUnknown): ask them"
    assert Payment.begun == 1


@workflow(name="t_once_uncaught", title="Once, and no more")
async def pay_only(message: Message, context: Context) -> str:
    paid: str = await context.step(pay, int(message.text), once=True)
    return paid


@pytest.mark.slow
async def test_step_that_a_crash_cut_is_not_called_again_by_who_resumes_its_run(
    sent_to: SentTo,
) -> None:
    async with sent_to("t_once_uncaught", "5") as (hosting, run):
        await until(lambda: Payment.begun == 1)
        await hosting.crash()
        has_failed = Run.objects.filter(pk=run.id, status=Run.Status.FAILED).exists
        await until(has_failed)
        Payment.may_end.set()
        assert await runs.aresume(run.id, by=django_user("boss"))
        await until(has_failed)
    assert Payment.begun == 1


async def test_beginning_is_stored_before_the_call(host_workflow: NewHosting) -> None:
    def stored() -> list[tuple[str, object]]:
        return list(JournalEntry.objects.values_list("name", "finished_at"))

    async with host_workflow("t_once") as hosting:
        await hosting.send("5")
        await until(lambda: Payment.begun == 1)
        assert await reads.read(stored) == [("pay", None)]
        Payment.may_end.set()

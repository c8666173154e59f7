"""Sleeps of a parked run: it goes on when the first of them ends."""

from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone

from sessions_app.workflows import Context, Message, workflow
from tests.support.hosting import Hosting, running, until_true

pytestmark = pytest.mark.django_db(transaction=True)

woken: list[int] = []


@workflow(name="t_two_sleeps", title="Sleeps twice at once")
async def two_sleeps(message: Message, context: Context) -> str:
    async def sleep(minutes: int) -> None:
        await context.sleep(minutes * 60)
        await context.step(woken.append, minutes)

    await context.gather(sleep(20), sleep(10))
    return "both"


async def test_the_shorter_of_two_sleeps_wakes_the_run() -> None:
    woken.clear()
    async with running(Hosting("t_two_sleeps", park_after=0.01)) as (hosting, run):
        await hosting.until_status(run, "waiting")
        await until_true(lambda: not hosting.hosts.run(str(run)))
        with time_machine.travel(timezone.now() + timedelta(minutes=15), tick=True):
            await hosting.settle_due()
            await until_true(lambda: woken == [10])

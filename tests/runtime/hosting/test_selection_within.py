"""The selection of runs within the transaction of a message to a host that waits."""

import asyncio
import threading
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest

from sessions_app.errors import Refused
from sessions_app.hosting import host as host_module
from sessions_app.hosting.host import OfferedSelection
from sessions_app.hosting.run_selection import Selection, select_runs
from sessions_app.storage.transaction import Transaction
from sessions_app.storage.writer import writer
from sessions_app.workflows import Context, Message, workflow
from tests.support.hosting import Hosting, until_true

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.local_only("the host of a cluster is in another process"),
]


@workflow(name="t_within", title="Within a transaction")
async def within(message: Message, context: Context) -> str:
    return message.text


@pytest.fixture
async def hosting() -> AsyncIterator[Hosting]:
    async with Hosting("t_within") as hosting:
        yield hosting


async def until_offered(hosting: Hosting) -> None:
    """Have a host, and wait until it waits for messages."""
    await hosting.until_ended(await hosting.submit("first"))
    await until_true(lambda: any(host._offers for host in hosting.hosts))


async def starts(hosting: Hosting, run: UUID) -> int:
    """Return how often a host has begun to execute the run."""
    events = [event for event in await hosting.events() if event.run == run]
    return sum(event.payload.get("status") == "running" for event in events)


async def test_a_selection_that_fails_lets_no_message_fail(
    hosting: Hosting, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = []

    def fail(tx: Transaction, **facts: Any) -> Selection:
        if tx.takes_followers and tx.followers:
            failures.append(facts)
            raise ValueError("is logged")
        return select_runs(tx, **facts)

    monkeypatch.setattr(host_module, "select_runs", fail)
    await until_offered(hosting)
    for text in ("one", "two"):
        run = await hosting.submit(text)
        assert await hosting.result(run) == text
        assert await starts(hosting, run) == 1
        await until_true(lambda: any(host._offers for host in hosting.hosts))
    assert len(failures) == 2


async def test_a_message_that_is_written_beside_one_that_fails_is_taken_up(
    hosting: Hosting,
) -> None:
    def refuse(tx: Transaction) -> None:
        raise Refused

    await until_offered(hosting)
    held, go_on = threading.Event(), threading.Event()

    def hold(tx: Transaction) -> None:
        held.set()
        go_on.wait(10)

    holding = writer.write(hold)
    await asyncio.to_thread(held.wait, 10)
    sending = asyncio.create_task(hosting.submit("beside"))
    await until_true(lambda: writer._threads[0].queue.qsize() == 1)
    refused = writer.write(refuse)  # in the same transaction as the message
    go_on.set()
    await holding
    with pytest.raises(Refused):
        await refused
    assert await hosting.result(await sending) == "beside"


async def test_a_host_does_not_select_while_a_message_does(
    hosting: Hosting, monkeypatch: pytest.MonkeyPatch
) -> None:
    selected, go_on = threading.Event(), threading.Event()
    select = OfferedSelection.run

    def select_and_pause(offer: OfferedSelection, tx: Transaction) -> None:
        select(offer, tx)
        selected.set()
        go_on.wait(10)

    monkeypatch.setattr(OfferedSelection, "run", select_and_pause)
    await until_offered(hosting)
    sending = asyncio.create_task(hosting.submit("once"))
    await asyncio.to_thread(selected.wait, 10)
    [host] = hosting.hosts
    host.wake()
    await asyncio.sleep(0.1)  # in which it would select, without the runs of the message
    go_on.set()
    run = await sending
    assert await hosting.result(run) == "once"
    assert await starts(hosting, run) == 1

"""The writer goes on whatever its callers do."""

import asyncio

import pytest

from sessions_app.storage.transaction import Transaction
from sessions_app.storage.writer import Lane, writer

pytestmark = pytest.mark.django_db(transaction=True)


def fail() -> None:
    raise RuntimeError("what follows the commit is not the commit")


async def test_what_fails_after_a_commit_costs_nobody_the_result_or_the_next_write() -> None:
    lane, called = Lane(), list[str]()

    def work(tx: Transaction) -> str:
        tx.after_commit += [fail, lambda: called.append("after it")]
        return "committed"

    async with asyncio.timeout(10):
        assert await writer.write(work, lane) == "committed"
        assert called == ["after it"]
        assert await writer.write(lambda tx: "next", Lane(beside=lane)) == "next"


async def test_readers_that_cannot_be_told_do_not_either(monkeypatch: pytest.MonkeyPatch) -> None:
    def cannot(tx: Transaction) -> None:
        fail()

    monkeypatch.setattr(writer, "on_commit", cannot)
    lane = Lane()

    def work(tx: Transaction) -> str:
        tx.events.append(None)  # type: ignore[arg-type] # of which nobody hears
        return "committed"

    async with asyncio.timeout(10):
        assert await writer.write(work, lane) == "committed"
        assert await writer.write(lambda tx: "next", Lane(beside=lane)) == "next"

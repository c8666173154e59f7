"""Tests that a database fault never fails a run: the work is repeated."""

import asyncio
import sqlite3
from collections import Counter
from collections.abc import AsyncGenerator, Iterator
from contextlib import closing
from typing import Any

import psycopg
import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth import get_user_model
from django.db import DatabaseError, connection
from pydantic import BaseModel

from sessions_app import runs
from sessions_app.errors import StorageUnavailable
from sessions_app.lifecycle import processes
from sessions_app.storage.faults import is_fault
from sessions_app.storage.writer import writer
from sessions_app.workflows import Context, Message, StepFailed, workflow
from tests.support.database.outage import database_away
from tests.support.hosting import Hosting, django_user, problem, running, until_true
from tests.support.running_form import CLUSTER

pytestmark = pytest.mark.django_db(transaction=True)

# Number of faults that each operation is to meet, and number of calls of each.
faults: Counter[str] = Counter()
calls: Counter[str] = Counter()
gate: dict[str, asyncio.Event] = {}


@pytest.fixture(autouse=True)
def _anew() -> None:
    faults.clear()
    calls.clear()
    writer.failed_at = float("-inf")


def fill_disk() -> None:
    """Make SQLite raise its error for a full disk."""
    with closing(sqlite3.connect(":memory:")) as full, connection.wrap_database_errors:
        full.execute("PRAGMA max_page_count=1")
        full.execute("CREATE TABLE more (x)")


def look(place: str) -> str:
    """Read from the database, at which the connection is lost."""
    calls[place] += 1
    if calls[place] <= faults[place]:
        if not CLUSTER:
            fill_disk()
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")
    return f"{get_user_model().objects.count()} of {place}"


def rename_nobody() -> str:
    """Save a row that no longer exists."""
    calls["gone"] += 1
    missing_user = get_user_model()(pk=987654, username="nobody")
    missing_user.save(force_update=True, update_fields=["username"])
    return "renamed"


def stream() -> Iterator[str]:
    yield "some "
    yield look("stream")


@workflow(name="t_faulty", title="Meets faults")
async def faulty(message: Message, context: Context) -> AsyncGenerator[str, None]:
    place = message.text
    try:
        if place == "code":
            yield await sync_to_async(look)(place)
        elif place == "step":
            yield await context.step(look, place)
        elif place == "transactional":
            yield await context.transactional_step(look, place)
        elif place == "gone":
            yield await context.step(rename_nobody)
        elif place == "gone, transactional":
            yield await context.transactional_step(rename_nobody)
        else:
            async for piece in context.stream(stream):
                yield piece
    except StepFailed:
        yield "it was blamed on the step"


@pytest.mark.slow
@pytest.mark.parametrize("place", ["code", "step", "transactional", "stream"])
async def test_code_that_meets_a_fault_is_done_again(place: str) -> None:
    faults[place] = 1
    async with running("t_faulty", place) as (hosting, run):
        text = f"some 1 of {place}" if place == "stream" else f"1 of {place}"
        assert await hosting.result(run) == text
    assert calls[place] == 2


@pytest.mark.slow
@pytest.mark.parametrize("place", ["step", "transactional"])
async def test_a_run_with_repeated_database_faults_is_suspended_and_can_be_resumed(
    place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sessions_app.storage.writer.WRITE_PATIENCE", 0.2)
    faults[place] = 1000  # a lasting fault, possibly of another database than the runtime's
    async with Hosting("t_faulty") as hosting:
        row = await hosting.until_ended(await hosting.submit(place))
        assert row.status == "suspended"
        assert "the database failed its code" in problem(row)["detail"]
        faults[place] = 0
        assert await runs.aresume(row.pk, by=django_user("op"))
        assert await hosting.result(row.pk) == f"1 of {place}"


@pytest.mark.parametrize("place", ["gone", "gone, transactional"])
async def test_a_row_that_is_gone_is_a_failure_of_the_step(place: str) -> None:
    """Django raises this DatabaseError itself; before 6.0, without a specific class."""
    async with running("t_faulty", place) as (hosting, run):
        assert await hosting.result(run) == "it was blamed on the step"
    assert calls["gone"] == 1


def test_an_error_of_the_driver_without_a_code_is_a_fault() -> None:
    """The error is psycopg's for a database process that dies while sending."""
    error = DatabaseError("the server closed the connection")
    assert not is_fault(error)
    error.__cause__ = psycopg.DatabaseError("the server closed the connection")
    assert is_fault(error)


async def make_builder(user: Any, options: BaseModel) -> str:
    return await sync_to_async(look)("builder")


async def make_shared(options: BaseModel) -> str:
    return await sync_to_async(look)("builder")


async def with_builder(message: Message, context: Context) -> str:
    return str(context.builder)


workflow(name="t_own_builder", title="Built", per_user_builder=make_builder)(with_builder)
workflow(name="t_shared_builder", title="Built", shared_builder=make_shared)(with_builder)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["t_own_builder", "t_shared_builder"])
async def test_a_builder_that_meets_a_fault_is_built_anew(name: str) -> None:
    faults["builder"] = 1
    async with running(name) as (hosting, run):
        assert await hosting.result(run) == "1 of builder"


async def make_nothing(options: BaseModel) -> str:
    gate["begun"].set()
    await gate["end"].wait()
    raise RuntimeError("it is misconfigured")


workflow(name="t_no_builder", title="Not built", shared_builder=make_nothing)(with_builder)


@pytest.mark.slow
async def test_a_run_that_cannot_be_refused_while_the_database_is_away_is_refused_later() -> None:
    gate.update(begun=asyncio.Event(), end=asyncio.Event())
    async with running("t_no_builder") as (hosting, run):
        await gate["begun"].wait()
        async with database_away():
            gate["end"].set()
            await until_true(lambda: writer.failed_at > 0)
        assert (await hosting.until_ended(run)).status == "suspended"


async def work() -> str:
    gate["begun"].set()
    await gate["end"].wait()
    calls["long"] += 1
    return "its result"


@workflow(name="t_long_step", title="Takes long")
async def long_step(message: Message, context: Context) -> str:
    return await context.step(work)


@pytest.mark.slow
async def test_a_step_outlives_a_database_that_is_gone_while_it_works() -> None:
    gate.update(begun=asyncio.Event(), end=asyncio.Event())
    async with running("t_long_step") as (hosting, run):
        await gate["begun"].wait()
        async with database_away():
            gate["end"].set()
            await until_true(lambda: writer.failed_at > 0)  # the result could not be stored
        assert await hosting.result(run) == "its result"


@pytest.mark.slow
async def test_a_failed_write_is_reported_by_the_health_of_the_process() -> None:
    """A nearly full disk still accepts something as small as a health report."""
    assert processes.stores_writes()
    async with database_away():
        with pytest.raises(StorageUnavailable):
            await writer.write(lambda tx: get_user_model().objects.create(username="ann"))
        assert not processes.stores_writes()

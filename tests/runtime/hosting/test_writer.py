"""Tests that the writer continues, whatever its callers do."""

import asyncio
import inspect
import os
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from types import ModuleType
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.db import DataError, OperationalError, connection
from django.db.backends.base.base import BaseDatabaseWrapper

from sessions_app.errors import Refused, StorageUnavailable
from sessions_app.storage import postgresql, reads, sql, sqlite
from sessions_app.storage.transaction import Transaction
from sessions_app.storage.writer import Lane, Work, writer
from tests.support.polling import PATIENCE

pytestmark = pytest.mark.django_db(transaction=True)


def test_the_modules_of_both_databases_have_the_same_functions() -> None:
    def functions(module: ModuleType) -> dict[str, inspect.Signature]:
        functions = inspect.getmembers(module, inspect.isfunction)
        own = [(name, one) for name, one in functions if one.__module__ == module.__name__]
        return {name: inspect.signature(one) for name, one in own if not name.startswith("_")}

    assert functions(sqlite) == functions(postgresql)
    assert sql.database() in (sqlite, postgresql)


def fail() -> None:
    raise RuntimeError("what follows the commit is not the commit")


@pytest.mark.parametrize("what_fails", ["a callback", "the announcement"])
async def test_what_fails_after_the_commit_loses_no_result_or_write(
    what_fails: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lane, calls = Lane(), list[str]()
    if what_fails == "the announcement":
        monkeypatch.setattr(writer, "on_commit", lambda tx: fail())

    def work(tx: Transaction) -> str:
        if what_fails == "the announcement":
            tx.events.append(None)  # type: ignore[arg-type] # of which nobody hears
        tx.after_commit += [fail, lambda: calls.append("after it")]
        return "committed"

    async with asyncio.timeout(10):
        assert await writer.write(work, lane) == "committed"
        assert calls == ["after it"]
        assert await writer.write(lambda tx: "next", Lane(order_of=lane)) == "next"


async def test_a_write_that_may_be_committed_is_not_repeated(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The connection is lost just after the commit of two writes, so the outcome is unknown."""
    lane, done_names = Lane(), list[str]()
    held, gate = threading.Event(), threading.Event()
    commit = vars(BaseDatabaseWrapper)["_commit"]  # the type stubs lack this method

    def lose(connection: BaseDatabaseWrapper) -> None:
        commit(connection)
        if done_names == ["a", "b"]:
            raise OperationalError("server closed the connection unexpectedly")

    def make(name: str) -> Work[None]:
        def work(tx: Transaction) -> None:
            get_user_model().objects.create(username=f"{name}{len(done_names)}")
            done_names.append(name)

        return work

    def hold(tx: Transaction) -> None:
        held.set()
        gate.wait(10)

    monkeypatch.setattr(BaseDatabaseWrapper, "_commit", lose)
    async with asyncio.timeout(10):
        before = writer.write(hold, lane)
        await asyncio.to_thread(held.wait, 10)
        two = [writer.write(make(name), Lane(order_of=lane)) for name in ("a", "b")]
        gate.set()  # both writes were queued meanwhile, and share a transaction
        await before
        outcomes = await asyncio.gather(*two, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [StorageUnavailable] * 2
    assert done_names == ["a", "b"]
    assert await reads.read(get_user_model().objects.count) == 2


def test_queued_writes_are_written_before_the_process_stops() -> None:
    gate = threading.Event()
    works: list[Work[Any]] = [lambda tx: gate.wait(10), lambda tx: "written"]
    queued = [writer.submit(work) for work in works]
    threading.Timer(0.1, gate.set).start()
    writer.stop()
    assert all(one.done() for one in queued)


async def test_writes_of_lanes_beside_each_other_are_made_in_the_order_queued() -> None:
    lane, numbers = Lane(), list[int]()

    def make(number: int) -> Work[None]:
        def work(tx: Transaction) -> None:
            if not number:
                time.sleep(0.2)  # time for later writes to overtake this one, if they could
            numbers.append(number)

        return work

    await asyncio.gather(*(writer.write(make(number), Lane(order_of=lane)) for number in range(9)))
    assert numbers == list(range(9))


@pytest.mark.parametrize("together", [True, False], ids=["in one batch", "one after another"])
async def test_a_failed_write_skips_later_writes_of_its_lane(*, together: bool) -> None:
    lane, made_names, gate = Lane(), list[str](), threading.Event()
    other_lane = Lane(order_of=lane)

    def make(name: str) -> Work[None]:
        def work(tx: Transaction) -> None:
            get_user_model().objects.create(username=name)
            tx.after_commit.append(lambda: made_names.append(name))

        return work

    def broken(tx: Transaction) -> None:
        raise ValueError

    before = writer.write(lambda tx: gate.wait(10), Lane(order_of=lane))
    if not together:
        gate.set()
    written = []
    for work, of in ((make("a"), lane), (broken, lane), (make("b"), lane), (make("c"), other_lane)):
        written.append(writer.write(work, of))
        if not together:
            await asyncio.wait([written[-1]])
    gate.set()
    await before
    outcomes = await asyncio.gather(*written, return_exceptions=True)
    kinds = [type(one) for one in outcomes]
    assert kinds == [type(None), ValueError, StorageUnavailable, type(None)]
    names = get_user_model().objects.values_list("username", flat=True)
    assert set(await reads.read(lambda: list(names))) == set(made_names) == {"a", "c"}


@pytest.mark.parametrize("together", [True, False], ids=["in one batch", "one after another"])
async def test_after_a_refused_write_the_next_of_its_lane_is_made(*, together: bool) -> None:
    lane, gate = Lane(), threading.Event()

    def refuse(tx: Transaction) -> None:
        raise Refused

    before = writer.write(lambda tx: gate.wait(10), Lane(order_of=lane))
    if not together:
        gate.set()
    refused_write = writer.write(refuse, lane)
    if not together:
        await asyncio.wait([refused_write])
    after = writer.write(lambda tx: "made", lane)
    gate.set()
    with pytest.raises(Refused):
        await refused_write
    assert await after == "made"
    assert await before


ON_POSTGRESQL = pytest.mark.cluster_only("it is about psycopg")


async def fetch(statement: str, *params: Any, lane: Lane | None = None) -> Sequence[sql.Row]:
    """Return the rows of a query in the writer's transaction."""
    return await writer.write(lambda tx: sql.fetch(statement, params), lane)


@ON_POSTGRESQL
async def test_values_come_back_from_postgresql_as_they_went() -> None:
    values = uuid4(), datetime.now(UTC), True, 2**40, -1, None, "%s 'ä' \\ $1", {"a": [1, "b"]}
    types = "uuid", "timestamptz", "bool", "bigint", "smallint", "int", "text", "jsonb"
    places = ", ".join(f"%s::{type_}" for type_ in types)
    for _ in range(2):  # the second query uses a prepared statement
        [(*read, document, literal)] = await fetch(f"SELECT {places}, '100 %%'", *values)
        assert (*read, sql.read_json(document), literal) == (*values, "100 %")


@ON_POSTGRESQL
@pytest.mark.parametrize(
    ("options", "is_prepared"),
    [({}, True), ({"prepare_threshold": None}, False), ({"prepare_threshold": 20}, False)],
)
@pytest.mark.parametrize("begin", [reads.read, writer.write], ids=["read", "write"])
async def test_statements_that_recur_are_prepared_unless_the_project_says_otherwise(
    monkeypatch: pytest.MonkeyPatch,
    begin: Callable[..., Awaitable[int]],
    options: dict[str, int | None],
    is_prepared: bool,
) -> None:
    def recur(*_: Transaction) -> int:
        for _time in range(10):
            sql.fetch("SELECT 'recurs'", ())
        query = "SELECT COUNT(*) FROM pg_prepared_statements WHERE statement LIKE '%%recurs%%'"
        return int(sql.fetch(query, ())[0][0])

    def disconnect() -> None:
        writer.stop()
        reads.close_connections()

    await asyncio.to_thread(disconnect)
    for name, value in options.items():
        monkeypatch.setitem(connection.settings_dict["OPTIONS"], name, value)
    assert (await begin(recur) > 0) == is_prepared
    await asyncio.to_thread(disconnect)


async def test_a_connection_is_closed_after_the_read_that_uses_it() -> None:
    reads_now, may_end = threading.Event(), threading.Event()

    def read() -> bool:
        connection.ensure_connection()
        before = connection.connection
        reads_now.set()
        may_end.wait(PATIENCE)
        return connection.connection is before

    reading = reads.begin(read)
    await asyncio.to_thread(reads_now.wait, PATIENCE)
    closing = threading.Thread(target=reads.close_connections)
    closing.start()
    await asyncio.to_thread(closing.join, 0.3)  # not for a condition: it must not end
    may_end.set()
    assert await reading
    await asyncio.to_thread(closing.join, PATIENCE)
    assert not closing.is_alive()


@ON_POSTGRESQL
def test_a_migration_may_compute_between_two_statements() -> None:
    call_command("migrate", verbosity=0)
    with connection.cursor() as cursor:
        cursor.execute("SHOW idle_in_transaction_session_timeout")
        assert cursor.fetchone() == ("0",)
    connection.close()


@ON_POSTGRESQL
async def test_a_failed_statement_raises_and_the_next_one_succeeds() -> None:
    lane = Lane()
    with pytest.raises(DataError, match="division by zero"):
        await fetch("SELECT 1 / %s::int", 0, lane=lane)
    assert await fetch("SELECT 1 / %s::int", 1, lane=Lane(order_of=lane)) == [(1,)]


@ON_POSTGRESQL
async def test_a_write_that_is_repeated_is_told_once() -> None:
    tries, announced = list[int](), list[int]()

    def work(tx: Transaction) -> str:
        tries.append(len(tries))
        tx.after_commit.append(partial(announced.append, len(tries)))
        if len(tries) < 3:
            raise OperationalError("server closed the connection unexpectedly")
        return "written"

    assert await writer.write(work) == "written"
    assert announced == [3]


# Statements for a table in which the first two commits of a row fail. A sequence counts them,
# because a rollback does not undo its increments.
COLLIDING = (
    "CREATE TABLE colliding (n int)",
    "CREATE SEQUENCE commits",
    """
    CREATE FUNCTION collide() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF nextval('commits') < 3 THEN RAISE USING ERRCODE = 'serialization_failure'; END IF;
        RETURN NULL;
    END $$
    """,
    """
    CREATE CONSTRAINT TRIGGER collides AFTER INSERT ON colliding
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION collide()
    """,
)


@ON_POSTGRESQL
async def test_a_commit_that_collides_with_another_is_tried_again() -> None:
    lane = Lane()

    async def execute(*statements: str) -> None:
        await writer.write(lambda _: [sql.execute(one, ()) for one in statements], lane)

    await execute(*COLLIDING)
    await execute("INSERT INTO colliding VALUES (1)")
    assert await fetch("SELECT n FROM colliding", lane=lane) == [(1,)]
    await execute("DROP TABLE colliding", "DROP FUNCTION collide", "DROP SEQUENCE commits")


@ON_POSTGRESQL
async def test_a_connection_that_was_cut_is_made_anew() -> None:
    lane = Lane()
    [(cut,)] = await fetch("SELECT pg_backend_pid()", lane=lane)
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s, 5000)", [cut])
    [(now,)] = await fetch("SELECT pg_backend_pid()", lane=lane)
    assert now != cut

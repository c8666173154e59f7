"""Tests of many waiting runs with several processes: no statement reads rows without need."""

from collections.abc import Callable
from functools import partial
from uuid import UUID, uuid4

import pytest
from django.contrib.auth import get_user_model
from django.db import connection, transaction

from chat_app.feed import selectors, sweeper
from chat_app.page.conversation import conversation_page, history
from chat_app.page.sidebar import sidebar_entries
from sessions_app.conversations import messages, stops
from sessions_app.hosting import lease, run_selection, run_writes
from sessions_app.hosting.needing_host import keys_needing_host
from sessions_app.interactions import answers
from sessions_app.lifecycle import due
from sessions_app.models import Interaction, Run
from sessions_app.models.host_lease import HostKey
from sessions_app.models.people import Person
from sessions_app.prompts import TextAnswer
from sessions_app.storage import reads, sql
from sessions_app.storage.records import read
from sessions_app.storage.transaction import Transaction
from tests.support.database.copied_conversations import copy_statements
from tests.support.hosting import Hosting, until
from tests.support.running_form import CLUSTER
from tests.support.workflows import probe

if CLUSTER:
    from sessions_app.hosting.dispatch import queue
    from sessions_app.hosting.dispatch.host_lookup import look_up
    from sessions_app.hosting.dispatch.take_over import take_over

pytestmark = [
    pytest.mark.slow,
    pytest.mark.django_db(transaction=True),
    pytest.mark.cluster_only(reason="PostgreSQL says what it has examined"),
]

assert probe  # the import declares the workflow

COUNT = 20_000
OWNERS = 400
OWN = COUNT // OWNERS
# Maximum number of rows read for one conversation and everything in it, or for no work at all. Dead
# row versions count, too.
FEW = 60

TABLES = [
    f"sessions_app_{noun}"
    for noun in ("conversation", "run", "interaction", "event", "journalentry", "hostlease")
]
EXAMINED = """
    SELECT sum(seq_tup_read + coalesce(idx_tup_fetch, 0)) FROM {view} WHERE relname = ANY(%s)
"""
NOW = "pg_stat_xact_user_tables"
EVER = "pg_stat_user_tables"
HOST_JOBS = "SELECT 1 FROM procrastinate_jobs WHERE task_name = 'hitl.host'"
# Completed jobs are deleted together with their events; the time of the last deferral stays.
MAINTAINED = "SELECT 1 FROM procrastinate_periodic_defers WHERE task_name = 'hitl.maintain'"


def examined(view: str) -> int:
    """Return the rows read from the runtime's tables: in this transaction, or in total."""
    with connection.cursor() as cursor:
        cursor.execute(EXAMINED.format(view=view), [TABLES])
        return int(cursor.fetchone()[0])


def say_what_was_read() -> None:
    """Report this connection's read counts to the statistics now, instead of later."""
    sql.fetch("SELECT pg_stat_force_next_flush()", ())


def multiply(run: UUID) -> None:
    """Insert copies of a parked run's conversation, for many people."""
    users = get_user_model().objects
    users.bulk_create(users.model(username=f"copied{number}") for number in range(OWNERS))
    [(conversation, interaction)] = Interaction.objects.filter(run=run).values_list(
        "conversation_id", "id"
    )
    waiting = {"conversation": conversation, "run": run, "interaction": interaction}
    for statement, parameters in copy_statements(waiting, COUNT, owners="copied%"):
        sql.execute(statement.replace("?", "%s"), parameters)
    # Leave shared tables out: another worker of the tests may vacuum them at the same time.
    tables = connection.introspection.table_names()
    sql.execute(f"VACUUM ANALYZE {', '.join(tables)}", ())
    say_what_was_read()


async def park_many(hosting: Hosting) -> None:
    """Park a run that the application made, and its copies."""
    run = await hosting.submit("ask()")
    await hosting.until_status(run, Run.Status.WAITING)
    await hosting.stop()
    await reads.read(multiply, run)


def one_of_them() -> Interaction:
    """Return a pending interaction from the middle of all."""
    some = Interaction.objects.select_related("run", "conversation__owner")
    one = some.get(conversation__conversation_id=f"copy{COUNT // 2}")
    say_what_was_read()
    return one


def works(asked: Interaction) -> dict[str, tuple[Callable[[Transaction], object], int]]:
    """Return the regular operations, each with the maximum number of rows that it may read."""
    conversation = asked.conversation
    run, owner, name = asked.run, conversation.owner, conversation.conversation_id
    by = Person.of(owner)
    message = messages.IncomingMessage(uuid4().hex, 'echo("hello")')

    def make_answer(interaction: str | None = None) -> answers.IncomingAnswer:
        return answers.IncomingAnswer(
            uuid4().hex, "test", TextAnswer("yes"), interaction=interaction
        )

    def answered(tx: Transaction, answer: answers.IncomingAnswer) -> run_selection.Selection:
        checked_answer = answers._check(by, name, answer)
        assert checked_answer is not None
        answers._answer(tx, by, checked_answer)
        hold = lease.take_lease(tx, HostKey(run.key))
        driven = run_selection.DrivenRuns(frozenset(), frozenset(), {})
        selected = run_selection.select_runs(tx, hold, driven)
        [started] = selected.started
        run_writes.end(tx, run_writes.LeasedRun(hold, started.run), Run.Status.COMPLETED)
        lease.release_lease(tx, hold)
        return selected

    return {
        "an answer by its id": (partial(answered, answer=make_answer(str(asked.id))), FEW),
        "an answer without": (partial(answered, answer=make_answer()), FEW),
        "a message": (lambda tx: messages.submit_in(tx, owner.pk, name, message), FEW),
        "a stop": (lambda tx: stops._stop(tx, owner.pk, name, None), FEW),
        "a worker's look": (lambda tx: look_up([run.key], [asked.id]), FEW),
        "keys at start": (lambda tx: keys_needing_host(), FEW),
        "take-over": (take_over, FEW),
        "forgotten keys": (queue.put_forgotten, FEW),
        "all that is due": (lambda tx: due.is_due(), FEW),
        "deadlines": (lambda tx: due.due_interactions("expires_at", due.EVENTS_AT_ONCE), FEW),
        "sleeps": (lambda tx: due.due_sleeps(due.EVENTS_AT_ONCE), FEW),
        "children to stop": (lambda tx: stops.find_left(stops.AT_ONCE), FEW),
        "the log": (lambda tx: read(conversation.pk, after=0, limit=100), FEW),
        "the transcript": (lambda tx: history.read(conversation.pk), FEW),
        "the page": (lambda tx: conversation_page.read_page(owner.pk, name), FEW),
        "a socket's opening": (
            lambda tx: selectors.read_opening(conversation.pk, after=None, kept_cursor=None),
            FEW,
        ),
        "the sweeper": (lambda tx: sweeper._heads({conversation.pk}), FEW),
        "the list of a person": (lambda tx: sidebar_entries.sidebar(owner.pk), 10 * OWN),
        "the newest of a person": (lambda tx: sidebar_entries.newest(owner.pk), 2 * OWN),
    }


def reading_too_much() -> dict[str, int]:
    """Return the operations that read more rows than allowed, with the number of rows."""
    over = {}
    for name, (work, most) in works(one_of_them()).items():
        with transaction.atomic():
            before = examined(NOW)
            work(Transaction())
            rows = examined(NOW) - before
            transaction.set_rollback(True)
        if rows > most:
            over[name] = rows
    return over


async def test_frequent_work_reads_no_rows_of_parked_runs() -> None:
    async with Hosting("probe", park_after=0.05) as hosting:
        await park_many(hosting)
        assert await reads.read(reading_too_much) == {}


async def test_a_worker_loads_none_of_those_that_wait_and_an_answer_wakes_one() -> None:
    async with Hosting("probe", park_after=0.05) as hosting:
        await park_many(hosting)
        interaction = await reads.read(one_of_them)
        before = await reads.read(examined, EVER)
        await hosting.start()
        await until(lambda: sql.fetch(MAINTAINED, ()))
        assert hosting.hosted() == []
        assert not await reads.read(sql.fetch, HOST_JOBS, ())
        answer = answers.IncomingAnswer(
            uuid4().hex, "test", TextAnswer("yes"), interaction=str(interaction.id)
        )
        by = Person.of(interaction.conversation.owner)
        await answers.answer(by=by, conversation_id=None, answer=answer)
        assert (await hosting.until_ended(interaction.run_id)).status == Run.Status.COMPLETED
        assert hosting.hosted() == [interaction.run.key]
    # The readers have closed their connections, and so reported their counts to the statistics.
    assert 0 < await reads.read(examined, EVER) - before < COUNT // 10

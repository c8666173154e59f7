"""Tests that Procrastinate's tables and functions are as `hosting/dispatch/queue.py` expects."""

import hashlib
from importlib.metadata import version

import pytest

from sessions_app.storage import sql
from tests.support.running_form import CLUSTER

if CLUSTER:
    from procrastinate.contrib.django import app
    from procrastinate.worker import Worker


pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.cluster_only("one process has no queue"),
]

AGAIN = "read dispatch/queue.py again, for this version of Procrastinate"
COLUMNS = """
    SELECT table_name || '.' || column_name || ' ' || udt_name FROM information_schema.columns
    WHERE table_schema = current_schema() AND table_name LIKE 'procrastinate_%%' ORDER BY 1
"""
INDEXES = """
    SELECT indexdef FROM pg_indexes WHERE schemaname = current_schema()
    AND tablename = 'procrastinate_jobs' AND indexdef LIKE 'CREATE UNIQUE%%WHERE%%' ORDER BY 1
"""
STATUSES = "SELECT unnest(enum_range(NULL::procrastinate_job_status))::text"
FUNCTION = "SELECT prosrc FROM pg_proc WHERE proname = %s"


def lines(query: str, *values: object) -> list[str]:
    return [line for (line,) in sql.fetch(query, values)]


def test_its_tables_are_those_that_the_queue_was_read_for() -> None:
    assert version("procrastinate").startswith("3.10."), AGAIN
    assert lines(COLUMNS) == KNOWN_COLUMNS, AGAIN
    assert [line.split(" btree ")[1] for line in lines(INDEXES)] == KNOWN_INDEXES, AGAIN
    assert set(lines(STATUSES)) >= {"todo", "doing", "failed"}, AGAIN


@pytest.mark.parametrize("function", ["fetch_job_v2", "finish_job_v1", "update_heartbeat_v1"])
def test_its_functions_are_those_that_the_queue_was_read_for(function: str) -> None:
    [source] = lines(FUNCTION, f"procrastinate_{function}")
    words = " ".join(source.split())
    assert hashlib.sha256(words.encode()).hexdigest()[:12] == KNOWN_FUNCTIONS[function], AGAIN


def test_a_worker_can_be_told_to_look() -> None:
    assert hasattr(Worker(app), "_new_job_event"), AGAIN


KNOWN_COLUMNS = [
    "procrastinate_events.at timestamptz",
    "procrastinate_events.id int8",
    "procrastinate_events.job_id int8",
    "procrastinate_events.type procrastinate_job_event_type",
    "procrastinate_jobs.abort_requested bool",
    "procrastinate_jobs.args jsonb",
    "procrastinate_jobs.attempts int4",
    "procrastinate_jobs.id int8",
    "procrastinate_jobs.lock text",
    "procrastinate_jobs.priority int4",
    "procrastinate_jobs.queue_name varchar",
    "procrastinate_jobs.queueing_lock text",
    "procrastinate_jobs.scheduled_at timestamptz",
    "procrastinate_jobs.status procrastinate_job_status",
    "procrastinate_jobs.task_name varchar",
    "procrastinate_jobs.worker_id int8",
    "procrastinate_periodic_defers.defer_timestamp int8",
    "procrastinate_periodic_defers.id int8",
    "procrastinate_periodic_defers.job_id int8",
    "procrastinate_periodic_defers.periodic_id varchar",
    "procrastinate_periodic_defers.task_name varchar",
    "procrastinate_workers.id int8",
    "procrastinate_workers.last_heartbeat timestamptz",
]
KNOWN_INDEXES = [
    "(lock) WHERE (status = 'doing'::procrastinate_job_status)",
    "(queueing_lock) WHERE (status = 'todo'::procrastinate_job_status)",
]
KNOWN_FUNCTIONS = {
    "fetch_job_v2": "91ad15acf5b3",
    "finish_job_v1": "bd85d3733569",
    "update_heartbeat_v1": "3378318dee6d",
}

"""Rows for tests of the operators' pages: processes, conversations with runs, jobs."""

from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from django.contrib.auth import get_user_model
from django.db import connection
from django.utils import timezone

from sessions_app.hosting.dispatch.queue import HOST, MAINTENANCE_QUEUE, PREFIX
from sessions_app.lifecycle import processes
from sessions_app.models import Conversation, Process, Run

LONG_AGO = timedelta(days=400)
QUEUE_JOB = """
    INSERT INTO procrastinate_jobs (queue_name, task_name, lock, args, status, worker_id)
    VALUES (%s, %s, %s, '{}', %s, %s) RETURNING id
"""
MAINTENANCE_JOB = """
    INSERT INTO procrastinate_jobs (queue_name, task_name, args, status)
    VALUES (%s, %s, jsonb_build_object('timestamp', %s::bigint), %s) RETURNING id
"""
DEFERRED = """
    INSERT INTO procrastinate_periodic_defers (task_name, defer_timestamp)
    VALUES (%s, %s) RETURNING id
"""
REGISTER = """
    INSERT INTO procrastinate_workers (last_heartbeat)
    VALUES (now() - %s * interval '1 second') RETURNING id
"""


def process(name: str, kind: str, *, silent: float = 0, **fields: Any) -> Process:
    """Insert a process that was last seen `silent` seconds ago."""
    now = timezone.now()
    fields.setdefault("settings", processes.shared_settings())
    last_seen = now - timedelta(seconds=silent)
    return Process.objects.create(
        name=name, kind=kind, started_at=now, last_seen=last_seen, **fields
    )


def run(status: str, *, at: datetime | None = None, workflow: str = "probe", **fields: Any) -> Run:
    """Insert a run in a new conversation, last updated at `at`."""
    at = at or timezone.now()
    owner, _ = get_user_model().objects.get_or_create(username="ann")
    conversation = Conversation.objects.create(
        owner=owner, conversation_id=uuid4().hex, workflow=workflow, created_at=at, updated_at=at
    )
    return Run.objects.create(
        conversation=conversation,
        key=f"conversation:{conversation.pk}:{workflow}",
        workflow=workflow,
        message_id="m",
        text="hello",
        client_format="chat",
        status=status,
        created_at=at,
        **fields,
    )


def taker(*, silent: float = 0) -> int:
    return _insert(REGISTER, silent)


def job(key: str, status: str = "todo", *, queue: str = "default", by: int | None = None) -> int:
    return _insert(QUEUE_JOB, PREFIX + queue, HOST, key, status, by)


def maintenance_job(task: str, status: str, *, at: int) -> int:
    """Insert a maintenance job that was due at `at`; return its id."""
    return _insert(MAINTENANCE_JOB, MAINTENANCE_QUEUE, task, at, status)


def store_deferral(task: str, *, at: int) -> None:
    """Store that a maintenance task was last due at `at`."""
    _insert(DEFERRED, task, at)


def _insert(statement: str, *values: Any) -> int:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return int(cursor.fetchone()[0])

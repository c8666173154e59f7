"""The jobs of hosts in Procrastinate's queue: all that knows its tables, which are its own affair.

Read for Procrastinate 3.10: `test_queue_tables` fails where its tables or functions are others.
What its public API has is used as it is: registration, notifications, periodic jobs, retries,
deletion. What it lacks stands here and, as that needs the package itself, in `job_worker`. Figures
are of two busy processors:

- `PUT`. `defer` fails the transaction where the key is queued already, and so needs a savepoint: a
  job takes 12.4 ms instead of 6.8, one that is queued 7.5 instead of 2.5. Nor does it lock the
  one that is queued.
- `FETCH` (`PlacedJobs`). A job is the whole life of a host, most of which waits for people, so a
  worker's concurrency is not its places. Its own `fetch_job` takes whatever is queued: 12 of 30
  echoes took 2 to 10.7 s beside 20 slow runs on 3 workers of 8 places, and here none over 0.9 s
  (`test_uneven_workers`).
- `_new_job_event`. Where a place that became free was found by polling, 4 of these echoes took 2 to
  2.6 s.
- `CLAIM`, `MINE`. It ends a job by its id alone: a worker that slept would end the job of another.
- `BEAT`. Who has looked at its leases may keep them for as long as nobody takes them over: that is
  counted from a heartbeat of the look itself, and not from one of another task.
- `SILENT`, `TAKE_AWAY`. `get_stalled_jobs` and `retry_job` are two transactions, and the heartbeat
  may come between; `retry_job` keeps the id, and fails where the key is queued again
  (`test_take_over`).
- `FIGURES`, `SILENCES`, `JOBLESS`. It lists no heartbeats, and not since when a job waits.
- `PatientConnector`. A worker ends with its first query that fails, and all its hosts with it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import QuerySet

from sessions_app.errors import Fenced
from sessions_app.hosting.lease import JobClaim
from sessions_app.hosting.needing_host import runs_needing_host
from sessions_app.models import Run
from sessions_app.models.host_lease import HostKey
from sessions_app.settings import RuntimeSettings
from sessions_app.storage import sql
from sessions_app.storage.safety_times import STALLED_AFTER
from sessions_app.storage.transaction import Transaction
from sessions_app.workflows import registry
from sessions_app.workflows.config import DEFAULT_QUEUE

HOST = "host"
MAINTENANCE_QUEUE = "maintenance"

HOLDER = "SELECT worker, released_at FROM sessions_app_hostlease WHERE key = %s FOR SHARE"
# Where one is queued already, its row is locked: nobody takes it before this transaction commits.
# A place that becomes free goes to who has fewest of the newest runs that wait for one. (No more
# are read, whatever waits.)
# `places` are those that its runs need: of their workflow, and of their user under it.
PUT = """
    WITH owner AS (
        SELECT owner_id FROM sessions_app_conversation c
        JOIN sessions_app_run r ON r.conversation_id = c.id WHERE r.key = %s LIMIT 1
    )
    INSERT INTO procrastinate_jobs
        (queue_name, task_name, lock, queueing_lock, args, priority)
    VALUES (%s, %s, %s, %s, jsonb_build_object(
        'key', %s::text, 'suspect', %s::boolean, 'places', (
            SELECT jsonb_build_array(place, place || ' ' || owner_id)
            FROM owner, (SELECT %s::text AS place) of_workflow WHERE place IS NOT NULL
        )
    ), (
        SELECT -COUNT(*) FROM (
            SELECT conversation_id FROM sessions_app_run
            WHERE status = 'queued' ORDER BY created_at DESC LIMIT 100
        ) newest JOIN sessions_app_conversation c ON c.id = newest.conversation_id
        WHERE c.owner_id = (SELECT owner_id FROM owner)
    ))
    ON CONFLICT (queueing_lock) WHERE status = 'todo'
    DO UPDATE SET queueing_lock = excluded.queueing_lock
"""
CLAIM = """
    SELECT 1 FROM procrastinate_jobs
    WHERE id = %s AND worker_id = %s AND status = 'doing' FOR SHARE
"""
# This worker is alive. Whoever takes over locks the same row: the one who is second sees the first.
BEAT = "SELECT procrastinate_update_heartbeat_v1(%s)"
MINE = """
    SELECT id, lock FROM procrastinate_jobs
    WHERE worker_id = %s AND status = 'doing' AND task_name = %s
"""
# Of runs: those whose key has no job, which is a host or will be one.
JOBLESS = """
    NOT EXISTS (
        SELECT 1 FROM procrastinate_jobs job
        WHERE job.lock = sessions_app_run.key AND job.status = 'doing'
        OR job.queueing_lock = sessions_app_run.key AND job.status = 'todo'
    )
"""
# As Procrastinate's `fetch_job`, but for the places: `full` are those that are all taken; `crowded`
# is a worker that has all the hosts that it may have. A run that is to be stopped needs no place.
FETCH = """
    WITH candidate AS (
        SELECT id FROM procrastinate_jobs job
        WHERE status = 'todo' AND (scheduled_at IS NULL OR scheduled_at <= now())
        AND (%(queues)s::varchar[] IS NULL OR queue_name = ANY(%(queues)s::varchar[]))
        AND NOT EXISTS (
            SELECT 1 FROM procrastinate_jobs other
            WHERE other.lock = job.lock AND other.status = 'doing'
        )
        AND NOT (%(crowded)s AND task_name = 'host')
        AND (
            COALESCE(args->'places', '[]') ?| %(full)s::text[] IS NOT TRUE
            OR EXISTS (
                SELECT 1 FROM sessions_app_run run
                WHERE run.key = job.lock AND run.stop_requested_at IS NOT NULL
                AND run.status NOT IN ('completed', 'failed', 'cancelled')
            )
        )
        ORDER BY priority DESC, id LIMIT 1 FOR UPDATE SKIP LOCKED
    )
    UPDATE procrastinate_jobs job SET status = 'doing', worker_id = %(worker_id)s
    FROM candidate WHERE job.id = candidate.id
    RETURNING job.id, status, task_name, priority, lock, queueing_lock, args, scheduled_at,
        queue_name, attempts, worker_id
"""
# After a restart of the database nobody can be blamed for heartbeats that it did not take.
SILENT = """
    SELECT id FROM procrastinate_workers
    WHERE last_heartbeat < now() - %s * interval '1 second'
    AND pg_postmaster_start_time() < now() - %s * interval '1 second'
    ORDER BY id FOR NO KEY UPDATE SKIP LOCKED
"""
TAKE_AWAY = """
    DELETE FROM procrastinate_jobs WHERE id IN (
        SELECT id FROM procrastinate_jobs WHERE status = 'doing' AND {which}
        ORDER BY id LIMIT 100 FOR UPDATE SKIP LOCKED
    ) RETURNING id, lock
"""
TAKE = TAKE_AWAY.format(which="id = ANY(%s::bigint[])")
TAKE_FROM_SILENT = TAKE_AWAY.format(which="(worker_id IS NULL OR worker_id = ANY(%s::bigint[]))")
TAKE_KEY = TAKE_AWAY.format(
    which="""lock = %s AND NOT EXISTS (
        SELECT 1 FROM procrastinate_workers worker
        WHERE worker.id = worker_id AND worker.last_heartbeat > now() - %s * interval '1 second'
    )"""
)
# A job that waits for its lock waits for the host that has it, not for a worker.
FIGURES = """
    WITH beats AS (
        SELECT id, EXTRACT(EPOCH FROM now() - last_heartbeat) AS silent FROM procrastinate_workers
    ), waiting AS (
        SELECT job.id, job.queue_name, GREATEST(job.scheduled_at, MAX(event.at)) AS since
        FROM procrastinate_jobs job JOIN procrastinate_events event ON event.job_id = job.id
        WHERE job.status = 'todo' AND (job.scheduled_at IS NULL OR job.scheduled_at <= now())
        AND NOT EXISTS (
            SELECT 1 FROM procrastinate_jobs other
            WHERE other.lock = job.lock AND other.status = 'doing'
        )
        GROUP BY job.id
    )
    SELECT job.queue_name,
        COUNT(*) FILTER (WHERE job.status = 'todo'),
        COALESCE(MAX(EXTRACT(EPOCH FROM clock_timestamp() - waiting.since)), 0),
        COUNT(*) FILTER (WHERE job.status = 'doing'),
        COUNT(*) FILTER (
            WHERE job.status = 'doing' AND (beats.id IS NULL OR beats.silent > %s)
        ),
        COUNT(*) FILTER (WHERE job.status = 'failed' AND NOT EXISTS (
            SELECT 1 FROM procrastinate_periodic_defers later
            WHERE later.task_name = job.task_name
            AND later.defer_timestamp > (job.args->>'timestamp')::bigint + %s
        ))
    FROM procrastinate_jobs job
    LEFT JOIN waiting ON waiting.id = job.id
    LEFT JOIN beats ON beats.id = job.worker_id
    WHERE job.status IN ('todo', 'doing', 'failed')
    GROUP BY job.queue_name ORDER BY job.queue_name
"""
# A job that comes again and again has failed for so many seconds: then its next one has been taken,
# and has failed by itself or fixed what this one left. Procrastinate keeps the last time of each.
PERIODIC_FAILED = 10
SILENCES = "SELECT id, EXTRACT(EPOCH FROM now() - last_heartbeat) FROM procrastinate_workers"
AT_ONCE = 100  # rows in one transaction
# Connections of the job worker.
QUEUE_POOL_SIZE = 4


@dataclass(frozen=True, slots=True)
class Queue:
    """The state of a queue. `oldest`: for how many seconds a job has waited for a worker."""

    name: str
    queued: int
    oldest: float
    running: int
    stalled: int
    failed: int


def announce(key: str) -> str | None:
    """Announce work for the key: return the worker that hosts it, or queue a job and return None.

    The lease stays locked until the commit, so that a host cannot let go of it without seeing the
    work.
    """
    for worker, released_at in sql.fetch(HOLDER, (key,)):
        if released_at is None:
            return str(worker)
    put(key)
    return None


def put(key: str, *, suspect: bool = False) -> None:
    """Queue a job of the key's host, unless one is queued. `suspect`: see `SuspectsInTurn`."""
    host = HostKey(key)
    # A user of a per-user workflow has places of their own, wherever it is hosted.
    place = None if host.user else host.workflow
    offer = registry.find(host.workflow)  # where it is unknown, whoever takes it says so
    queue = DEFAULT_QUEUE if offer is None else offer.config.queue
    sql.execute(PUT, (key, queue, HOST, key, key, key, suspect, place))


def put_if_needed(key: str) -> None:
    """Queue the key if somebody has to host it."""
    if runs_needing_host().filter(key=key).exists():
        put(key)


def claim(job: int, worker: int, key: str) -> JobClaim:
    """Check that the job is still this worker's, which makes it the key's host; locks the job."""

    def check(tx: Transaction) -> None:
        if not sql.fetch(CLAIM, (job, worker)):
            raise Fenced(key, 0, 0)

    return check


def of_worker(worker: int) -> dict[int, str]:
    """Return this worker's jobs of hosts with their keys, and store its heartbeat.

    Nobody takes one of them over for as long as a heartbeat counts.
    """
    sql.execute(BEAT, (worker,))
    return dict(sql.fetch(MINE, (worker, HOST)))


def put_forgotten(tx: Transaction) -> int:
    """Queue the keys that have work and no job; returns how many there were.

    There are none, unless somebody has deleted jobs, or the database was one process's before.
    """
    keys = without_job(runs_needing_host()).values_list("key", flat=True).distinct()[:AT_ONCE]
    for key in keys:
        put(key)
    return len(keys)


def figures() -> list[Queue]:
    """Return the queues that have jobs now."""
    return [
        Queue(name, queued, float(oldest), *rest)
        for name, queued, oldest, *rest in fetch(FIGURES, (STALLED_AFTER, PERIODIC_FAILED))
    ]


def silences() -> dict[int, float]:
    """Return for how many seconds each of Procrastinate's workers has been silent, by its id."""
    return {worker: float(silent) for worker, silent in fetch(SILENCES, ())}


def fetch(query: str, params: Sequence[object]) -> list[sql.Row]:
    """Run a query on the queue. The local form has none, and no such tables."""
    return sql.fetch(query, params) if RuntimeSettings.load().cluster else []


def without_job(runs: QuerySet[Run]) -> QuerySet[Run]:
    """Keep the runs whose key has no job: in one statement, as jobs come and go."""
    return runs.extra(where=[JOBLESS])  # noqa: S610 - no value in it

"""The jobs of hosts in Procrastinate's queue: the only module that knows Procrastinate's tables.

The project may have tasks and workers of its own in the same tables. Each statement therefore names
this package's tasks (`OWN`), in queues with a prefix of their own, and no other job is touched.

Written for Procrastinate 3.10: `test_queue_tables` fails if its tables or functions differ. The
public API is used where it suffices: registration, notifications, periodic jobs, retries, deletion.
Otherwise this module has its own SQL, and `job_worker` extends Procrastinate's classes. The reasons
follow, with figures from two busy processors:

- `PUT`. `defer` fails the transaction if the key has a queued job already, and so needs a
  savepoint: queueing takes 12.4 ms instead of 6.8, and with a queued job 7.5 ms instead of 2.5. Nor
  does `defer` lock the queued job.
- `FETCH` (`ServableJobs`). Procrastinate's `fetch_job` takes the project's jobs, too. And a job
  lasts as long as its host lives, and a host mostly waits for people, so a worker's concurrency is
  not its number of slots: with `fetch_job`, 12 of 30 short runs took 2 to 10.7 s beside 20 slow
  runs on 3 workers of 8 slots; with `FETCH` none took over 0.9 s (`test_uneven_workers`).
- `_new_job_event`. With polling for free slots, 4 of the short runs took 2 to 2.6 s.
- `OWN_JOB`, `OWN_JOBS`. Procrastinate ends a job by id alone: a worker that was frozen would end a
  job that belongs to another worker by now.
- `BEAT`. A worker that has checked its leases may rely on the leases until another worker takes
  over. That time counts from a heartbeat, so the check itself sends the heartbeat.
- `SILENT`, `TAKE_AWAY`. `get_stalled_jobs` and `retry_job` are two transactions, and a heartbeat
  may come between; `retry_job` keeps the id, and fails if the key is queued again
  (`test_take_over`).
- `FORGET`. Procrastinate deletes the workers of the project, too, and old jobs of any task.
- `PUT_BACK`. A retry fails if the key is queued again, and then the job blocks its key.
- `FIGURES`, `SILENCES`, `JOBLESS`. The API lists no heartbeats, nor since when a job waits.
- `PatientConnector`. Procrastinate's worker ends at its first failing query, with all its hosts.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.db.models import QuerySet

from sessions_app.errors import Fenced
from sessions_app.hosting.lease import JobCheck
from sessions_app.hosting.needing_host import runs_needing_host
from sessions_app.models import Run
from sessions_app.models.host_lease import HostKey
from sessions_app.settings import RuntimeSettings
from sessions_app.storage import sql
from sessions_app.storage.safety_times import STALLED_AFTER
from sessions_app.storage.transaction import Transaction
from sessions_app.workflows import registry
from sessions_app.workflows.config import DEFAULT_QUEUE

# The names of this package's tasks; no task of the project has one of these names.
HOST = "hitl.host"
MAINTAIN = "hitl.maintain"
CLEAN = "hitl.clean"
TASKS = HOST, MAINTAIN, CLEAN
# SQL condition for jobs: the job is one of this package's tasks.
OWN = f"task_name IN {TASKS}"
# The queue of a workflow is stored with this prefix, so that no worker of the project that names
# its queues takes this package's jobs.
PREFIX = "hitl."
MAINTENANCE_QUEUE = f"{PREFIX}maintenance"

HOLDER = "SELECT worker, released_at FROM sessions_app_hostlease WHERE key = %s FOR SHARE"
# SQL that queues a job for a key. If the key has a queued job already, the statement locks this
# job, so that no worker acquires it before the transaction commits. By the job's priority, a free
# slot goes to the owner with the fewest queued runs (above 100 they count as 100). `places` lists
# the limits for the key's runs: the workflow's limit, and the workflow's limit per user.
PUT = """
    WITH owner AS (
        SELECT owner_id FROM sessions_app_conversation c
        JOIN sessions_app_run r ON r.conversation_id = c.id WHERE r.key = %s LIMIT 1
    )
    INSERT INTO procrastinate_jobs
        (queue_name, task_name, lock, queueing_lock, args, priority)
    VALUES (%s, %s, %s, %s, jsonb_build_object(
        'key', %s::text, 'suspect', %s::boolean, 'places', (
            SELECT jsonb_build_array(limit_name, limit_name || ' ' || owner_id)
            FROM owner, (SELECT %s::text AS limit_name) of_workflow WHERE limit_name IS NOT NULL
        )
    ), (
        SELECT -COUNT(*) FROM (
            SELECT 1 FROM sessions_app_run r
            JOIN sessions_app_conversation c ON c.id = r.conversation_id
            WHERE r.status = 'queued' AND c.owner_id = (SELECT owner_id FROM owner) LIMIT 100
        ) own
    ))
    ON CONFLICT (queueing_lock) WHERE status = 'todo'
    DO UPDATE SET queueing_lock = excluded.queueing_lock
"""
OWN_JOB = """
    SELECT 1 FROM procrastinate_jobs
    WHERE id = %s AND worker_id = %s AND status = 'doing' FOR SHARE
"""
# Heartbeat of this worker. A take-over of the worker's jobs locks the same row, so heartbeat and
# take-over exclude each other, and the later transaction sees the effect of the earlier.
BEAT = "SELECT procrastinate_update_heartbeat_v1(%s)"
OWN_JOBS = """
    SELECT id, lock FROM procrastinate_jobs
    WHERE worker_id = %s AND status = 'doing' AND task_name = %s
"""
# SQL condition for runs: the run's key has neither a running nor a queued job.
JOBLESS = f"""
    NOT EXISTS (
        SELECT 1 FROM procrastinate_jobs job
        WHERE job.task_name = '{HOST}' AND (
            job.lock = sessions_app_run.key AND job.status = 'doing'
            OR job.queueing_lock = sessions_app_run.key AND job.status = 'todo'
        )
    )
"""
# Procrastinate's `fetch_job` for this package's tasks, with limits: `full` lists the limits without
# a free slot; `crowded` means that the worker has its maximum of hosts. A run that is to be stopped
# needs no slot.
FETCH = f"""
    WITH candidate AS (
        SELECT id FROM procrastinate_jobs job
        WHERE {OWN} AND status = 'todo' AND (scheduled_at IS NULL OR scheduled_at <= now())
        AND (%(queues)s::varchar[] IS NULL OR queue_name = ANY(%(queues)s::varchar[]))
        AND NOT EXISTS (
            SELECT 1 FROM procrastinate_jobs other
            WHERE other.lock = job.lock AND other.status = 'doing'
        )
        AND NOT (%(crowded)s AND task_name = '{HOST}')
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
# SQL that locks workers with this package's jobs and without recent heartbeats. Shortly after a
# restart of the database no worker counts as silent, because heartbeats were impossible.
SILENT = f"""
    SELECT id FROM procrastinate_workers worker
    WHERE last_heartbeat < now() - %s * interval '1 second'
    AND EXISTS (
        SELECT 1 FROM procrastinate_jobs job
        WHERE {OWN} AND status = 'doing' AND job.worker_id = worker.id
    )
    AND pg_postmaster_start_time() < now() - %s * interval '1 second'
    ORDER BY id FOR NO KEY UPDATE SKIP LOCKED
"""
# Whether `SILENT` or `TAKE_FROM_SILENT` may find anything.
ANY_LEFT = f"""
    SELECT EXISTS (
        SELECT 1 FROM procrastinate_jobs job
        LEFT JOIN procrastinate_workers worker ON worker.id = job.worker_id
        WHERE {OWN} AND job.status = 'doing'
        AND (worker.id IS NULL OR worker.last_heartbeat < now() - %s * interval '1 second')
    )
"""
TAKE_AWAY = f"""
    DELETE FROM procrastinate_jobs WHERE id IN (
        SELECT id FROM procrastinate_jobs WHERE {OWN} AND status = 'doing' AND {{which}}
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
# Statistics of each queue. While a running job has the same key, the age of a queued job does not
# count: this job waits for the key's host, and not for a worker.
FIGURES = f"""
    WITH beats AS (
        SELECT id, EXTRACT(EPOCH FROM now() - last_heartbeat) AS silent FROM procrastinate_workers
    ), waiting AS (
        SELECT job.id, job.queue_name, GREATEST(job.scheduled_at, MAX(event.at)) AS since
        FROM procrastinate_jobs job JOIN procrastinate_events event ON event.job_id = job.id
        WHERE {OWN} AND job.status = 'todo'
        AND (job.scheduled_at IS NULL OR job.scheduled_at <= now())
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
    WHERE {OWN} AND job.status IN ('todo', 'doing', 'failed')
    GROUP BY job.queue_name ORDER BY job.queue_name
"""
# A failed periodic job no longer counts once a job of the same task was deferred more than so many
# seconds later: that job has done the work, or has failed and counts itself. Procrastinate stores
# the time at which each periodic task was last deferred.
PERIODIC_FAILED = 10
SILENCES = "SELECT id, EXTRACT(EPOCH FROM now() - last_heartbeat) FROM procrastinate_workers"
# SQL that deletes the records of these workers, if they have no recent heartbeats.
FORGET = """
    DELETE FROM procrastinate_workers
    WHERE id = ANY(%s::bigint[]) AND last_heartbeat < now() - %s * interval '1 second'
"""
# SQL that deletes this package's jobs that ended so many hours ago.
DELETE_OLD = f"""
    DELETE FROM procrastinate_jobs job
    WHERE {OWN} AND status IN ('succeeded', 'failed', 'cancelled', 'aborted') AND NOT EXISTS (
        SELECT 1 FROM procrastinate_events event
        WHERE event.job_id = job.id AND event.at > now() - %s * interval '1 hour'
    )
"""
FAILED_KEPT = 7 * 24  # hours for which failed jobs are kept; only operators read them
# SQL that queues a copy of a job which a worker of the project has acquired. The delay leaves the
# copy to this package's workers, which poll each second; the project's poll each five seconds.
PUT_BACK = """
    INSERT INTO procrastinate_jobs
        (queue_name, task_name, lock, queueing_lock, args, priority, scheduled_at)
    SELECT queue_name, task_name, lock, queueing_lock, args, priority, now() + interval '1 second'
    FROM procrastinate_jobs WHERE id = %(id)s
    ON CONFLICT (queueing_lock) WHERE status = 'todo' DO NOTHING
"""
ROWS_AT_ONCE = 100  # maximum number of keys that one transaction queues
# Maximum of connections in the job worker's pool.
QUEUE_POOL_SIZE = 4


@dataclass(frozen=True, slots=True)
class Queue:
    """The state of a queue. `oldest`: seconds that its oldest job has waited for a worker."""

    name: str
    queued: int
    oldest: float
    running: int
    stalled: int
    failed: int

    @property
    def stored_name(self) -> str:
        """The name in Procrastinate's tables."""
        return PREFIX + self.name


def announce(key: str) -> str | None:
    """Announce work for the key: return the worker that hosts it, or queue a job and return None.

    The lease stays locked until the commit, so that a host cannot release the lease without seeing
    the work.
    """
    for worker, released_at in sql.fetch(HOLDER, (key,)):
        if released_at is None:
            return str(worker)
    put(key)
    return None


def put(key: str, *, suspect: bool = False) -> None:
    """Queue a job for the key's host, unless the key has a queued job already.

    `suspect`: a run of the key may have killed its process; see `SuspectsInTurn`.
    """
    host = HostKey(key)
    # The key of a single user has slots of its own in any worker, so the job names no limit.
    limit_name = None if host.user else host.workflow
    offer = registry.find(host.workflow)  # None is allowed: the worker reports unknown workflows
    queue = DEFAULT_QUEUE if offer is None else offer.config.queue
    sql.execute(PUT, (key, PREFIX + queue, HOST, key, key, key, suspect, limit_name))


def put_if_needed(key: str) -> None:
    """Queue a job for the key if one of its runs needs a host."""
    if runs_needing_host().filter(key=key).exists():
        put(key)


def build_job_check(job: int, worker: int, key: str) -> JobCheck:
    """Return a function which checks, in a transaction, that the worker still has the key's job.

    The function locks the job's row. It raises `Fenced` if another worker has taken the job over.
    """

    def check(tx: Transaction) -> None:
        if not sql.fetch(OWN_JOB, (job, worker)):
            raise Fenced(key, 0, 0)

    return check


def of_worker(worker: int) -> dict[int, str]:
    """Return the keys that the worker hosts, by job id, and store a heartbeat.

    No other worker takes over one of these jobs while the heartbeat is recent.
    """
    sql.execute(BEAT, (worker,))
    return dict(sql.fetch(OWN_JOBS, (worker, HOST)))


def put_forgotten(tx: Transaction) -> int:
    """Queue the keys that have work but no job; return the number of keys.

    Such keys exist after somebody deleted jobs, or if a single process used the database before.
    """
    keys = without_job(runs_needing_host()).values_list("key", flat=True).distinct()[:ROWS_AT_ONCE]
    for key in keys:
        put(key)
    return len(keys)


def figures() -> list[Queue]:
    """Return the state of each queue that has jobs now."""
    return [
        Queue(name.removeprefix(PREFIX), queued, float(oldest), *rest)
        for name, queued, oldest, *rest in fetch(FIGURES, (STALLED_AFTER, PERIODIC_FAILED))
    ]


def silences() -> dict[int, float]:
    """Return the seconds since each Procrastinate worker's last heartbeat, by worker id."""
    return {worker: float(silent) for worker, silent in fetch(SILENCES, ())}


def forget(workers: Iterable[int]) -> None:
    """Delete the records of these dead workers in Procrastinate."""
    if RuntimeSettings.load().cluster:
        sql.execute(FORGET, (array(workers), STALLED_AFTER))


def delete_old(tx: Transaction) -> None:
    """Delete jobs that failed long ago; successful jobs are deleted when they end."""
    sql.execute(DELETE_OLD, (FAILED_KEPT,))


def array(ids: Iterable[int]) -> str:
    """Return the ids as an array of PostgreSQL: a list would be sent as JSON."""
    return f"{{{', '.join(map(str, ids))}}}"


def fetch(query: str, params: Sequence[object]) -> list[sql.Row]:
    """Run a query on Procrastinate's tables; return no rows in an installation without them."""
    return sql.fetch(query, params) if RuntimeSettings.load().cluster else []


def without_job(runs: QuerySet[Run]) -> QuerySet[Run]:
    """Restrict the query to runs whose key has no job, without a second query: jobs come and go."""
    return runs.extra(where=[JOBLESS])  # noqa: S610 - constant SQL

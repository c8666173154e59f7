"""The periodic jobs of Procrastinate, each of which is executed by any one of the workers."""

from django.db import Error
from procrastinate import JobContext, RetryStrategy

from sessions_app.errors import StorageUnavailable
from sessions_app.hosting.dispatch import queue
from sessions_app.hosting.dispatch.job_worker import DISPATCHER, app
from sessions_app.json_types import JsonObject
from sessions_app.lifecycle import due, processes, retention
from sessions_app.logs import Log
from sessions_app.storage.faults import is_fault
from sessions_app.storage.writer import writer

log = Log(__name__)

# Priority above that of hosts' jobs (0 or less): a dead worker may leave a thousand jobs of hosts,
# for which these jobs must not wait.
JOB_OPTIONS: JsonObject = {"queue": queue.MAINTENANCE_QUEUE, "priority": 1}
EVERY_SECOND = "* * * * * *"
EVERY_NIGHT = "17 3 * * *"
# Three retries; afterwards the job counts as failed, which operators see in the queue's state.
AGAIN = RetryStrategy(max_attempts=3, wait=1800)


# The task has no Procrastinate lock: if a worker dies during the job, other workers must be able to
# settle due events.
@app.periodic(cron=EVERY_SECOND)
@app.task(name=queue.MAINTAIN, queueing_lock=queue.MAINTAIN, pass_context=True, **JOB_OPTIONS)
async def maintain(context: JobContext, timestamp: int) -> None:
    """Settle due events, and requeue the jobs of dead workers and work that has no job.

    A fault of the database, such as a lock of somebody else, does not fail the job: a second later
    the next one does its work.
    """
    try:
        await due.settle_due()
        await context.additional_context[DISPATCHER].take_over(timestamp)
        if timestamp % processes.UNSEEN_EVERY == 0:
            await writer.write(processes.forget_unseen)
        if timestamp % due.CLAIMS_EVERY == 0:
            await due.release_claims()
    except (StorageUnavailable, Error) as error:
        if not is_fault(error):
            raise
        log.warning("periodic.storage_unavailable", work="maintain")


@app.periodic(cron=EVERY_NIGHT)
@app.task(name=queue.CLEAN, queueing_lock=queue.CLEAN, retry=AGAIN, **JOB_OPTIONS)
async def clean(timestamp: int) -> None:
    """Delete data after its retention time."""
    await retention.clean()
    await writer.write(queue.delete_old)

"""What Procrastinate's workers run: the hosts, and what falls due."""

from procrastinate import JobContext
from procrastinate.contrib.django import app

from sessions_app import retention
from sessions_app.dispatch.jobs import HOST, MAINTENANCE_QUEUE
from sessions_app.dispatch.takers import DISPATCHER

EVERY_SECOND = "* * * * * *"
EVERY_NIGHT = "17 3 * * *"


@app.task(name=HOST, pass_context=True)
async def host(context: JobContext, key: str) -> None:
    """Host the key for as long as it needs one."""
    await context.additional_context[DISPATCHER].serve(context.job, key)


# Without a lock: a worker that dies in the middle must not keep the others from what falls due.
@app.periodic(cron=EVERY_SECOND)
@app.task(name="maintain", queue=MAINTENANCE_QUEUE, queueing_lock="maintain", pass_context=True)
async def maintain(context: JobContext, timestamp: int) -> None:
    """Settle what falls due, and take over from dead workers."""
    await context.additional_context[DISPATCHER].maintain(timestamp)


@app.periodic(cron=EVERY_NIGHT)
@app.task(name="clean", queue=MAINTENANCE_QUEUE, queueing_lock="clean")
async def clean(timestamp: int) -> None:
    """Delete what is older than it is to be kept."""
    await retention.clean()

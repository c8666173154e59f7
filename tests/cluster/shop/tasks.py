"""The shop's own tasks, with names and a queue that any project might choose."""

import asyncio
import os
from pathlib import Path

from django.utils import timezone
from procrastinate.contrib.django import app

QUEUE = "default"
# Seconds without a heartbeat after which the shop takes its own worker for dead.
DEAD_AFTER = 30


def note(text: str) -> None:
    """Write a line of this process into the shop's diary."""
    with Path(os.environ["SHOP_DIARY"]).open("a", encoding="utf-8") as diary:
        diary.write(f"{os.getpid()} {text}\n")


@app.task(name="host", queue=QUEUE)
async def invoice(number: int, seconds: float = 0) -> None:
    """Write an invoice, which takes some seconds."""
    note(f"began {number}")
    await asyncio.sleep(seconds)
    note(f"ended {number}")


@app.task(name="clean", queue=QUEUE)
async def fail(number: int) -> None:
    """Fail, as some of a shop's jobs do."""
    note(f"failed {number}")
    raise ValueError(number)


@app.periodic(cron="* * * * * */5")  # each five seconds
@app.task(name="maintain", queue=QUEUE, queueing_lock="maintain")
async def retry_stalled(timestamp: int) -> None:
    """Retry the shop's jobs whose workers have died, as Procrastinate's documentation says."""
    note("maintained")
    manager = app.job_manager
    for task in ("host", "clean"):
        for job in await manager.get_stalled_jobs(
            task_name=task, seconds_since_heartbeat=DEAD_AFTER
        ):
            await manager.retry_job(job, retry_at=timezone.now())

"""The stand-ins for this package's tasks in workers of the project, which put such jobs back.

A Procrastinate worker of the project that names no queue also acquires this package's jobs.
"""

from procrastinate import JobContext
from procrastinate.contrib.django import app

from sessions_app.hosting.dispatch import queue


async def put_back(context: JobContext, /, **_: object) -> None:
    """Queue a copy of the acquired job, which this package's workers acquire a second later."""
    assert context.job is not None  # noqa: S101 - for type checkers: a worker always has a job
    await context.app.connector.execute_query_async(queue.PUT_BACK, id=context.job.id)


def register() -> None:
    """Register the stand-ins in the project's Procrastinate application."""
    for name in queue.TASKS:
        app.task(name=name, pass_context=True)(put_back)


def tasks_of_project() -> list[str]:
    """Return the names of the tasks that the project has registered itself."""
    names = {task.name for task in app.tasks.values() if task.func is not put_back}
    return sorted(name for name in names if "procrastinate.builtin_tasks" not in name)

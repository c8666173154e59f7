"""The job of a host, as Procrastinate's workers run it."""

from procrastinate import JobContext
from procrastinate.contrib.django import app

from sessions_app.dispatch.job_workers import DISPATCHER
from sessions_app.dispatch.jobs import HOST


@app.task(name=HOST, pass_context=True)
async def host(
    context: JobContext, key: str, *, suspect: bool = False, places: list[str] | None = None
) -> None:
    """Host the key for as long as it needs one; a suspect waits for its turn."""
    dispatcher = context.additional_context[DISPATCHER]
    await dispatcher.serve(context.job, key, suspect=suspect, places=places or [])

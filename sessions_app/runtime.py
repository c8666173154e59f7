"""Starts and stops the runtime of this process: notifier, dispatcher, reports, maintenance."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

from django.conf import settings

from sessions_app.dispatch.base import Dispatcher, dispatcher, install
from sessions_app.event_log import writer
from sessions_app.maintenance import maintain
from sessions_app.notify import Notifier
from sessions_app.reports import report, sign_off

# Plain functions of steps, of all runs of this process, at once.
STEP_THREADS = 64


class _Runtime:
    """`own`: the dispatcher of a worker; else the one that the settings name."""

    def __init__(self, own: Dispatcher | None) -> None:
        self.notifier = Notifier()
        install(own)
        self.dispatcher = dispatcher()
        self.tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        # The loop's own has as few threads as there are processors, and steps mostly wait in them.
        steps = ThreadPoolExecutor(STEP_THREADS, thread_name_prefix="step")
        asyncio.get_running_loop().set_default_executor(steps)
        await self.notifier.start()
        writer.on_commit = self.notifier.publish
        await self.dispatcher.start()
        self.tasks = [asyncio.create_task(report(), name="reports")]
        if not settings.CLUSTER:  # there the workers take turns
            self.tasks.append(asyncio.create_task(maintain(), name="maintenance"))

    async def stop(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await self.dispatcher.stop()
        await sign_off()
        install(None)
        await asyncio.to_thread(writer.stop)
        writer.on_commit = None
        await self.notifier.stop()


_running: list[_Runtime] = []


async def start(own: Dispatcher | None = None) -> None:
    """Start, once. One process takes up every unfinished run; of many, the workers do."""
    if not _running:
        runtime = _Runtime(own)
        _running.append(runtime)
        await runtime.start()


async def stop() -> None:
    """Stop: runs in memory are let go in good order, and go on elsewhere or at the next start."""
    if _running:
        await _running.pop().stop()

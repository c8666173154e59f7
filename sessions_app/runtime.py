"""Starts and stops the runtime of this process: notifier, dispatcher, maintenance."""

import asyncio

from django.conf import settings

from sessions_app.dispatch.base import install
from sessions_app.dispatch.local import LocalDispatcher
from sessions_app.event_log import writer
from sessions_app.maintenance import maintain
from sessions_app.notify import Notifier


class _Runtime:
    def __init__(self) -> None:
        self.notifier = Notifier()
        self.dispatcher = LocalDispatcher(park_after=settings.PARK_AFTER)
        self.maintenance: asyncio.Task[None] | None = None

    async def start(self) -> None:
        await self.notifier.start()
        writer.on_commit = self.notifier.publish
        install(self.dispatcher)
        await self.dispatcher.start()
        self.maintenance = asyncio.create_task(maintain(), name="maintenance")

    async def stop(self) -> None:
        if self.maintenance is not None:
            self.maintenance.cancel()
            await asyncio.gather(self.maintenance, return_exceptions=True)
        await self.dispatcher.stop()
        install(None)
        await asyncio.to_thread(writer.stop)
        writer.on_commit = None
        await self.notifier.stop()


_running: list[_Runtime] = []


async def start() -> None:
    """Start, once; take up every unfinished run."""
    if not _running:
        runtime = _Runtime()
        _running.append(runtime)
        await runtime.start()


async def stop() -> None:
    """Stop: runs in memory are let go in good order, and go on at the next start."""
    if _running:
        await _running.pop().stop()

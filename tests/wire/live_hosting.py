"""A host whose news reach the sockets of the test's own process."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sessions_app.notify.notifier import Notifier
from sessions_app.storage.writer import writer
from tests.support.hosting import Hosting


@asynccontextmanager
async def live_hosting(workflow: str) -> AsyncIterator[Hosting]:
    """Host the workflow; sockets here hear of what it stores, as in a server."""
    notifier = Notifier()
    async with Hosting(workflow) as hosting:
        await notifier.start()
        writer.on_commit = notifier.publish
        try:
            yield hosting
        finally:
            writer.on_commit = None
            await notifier.stop()

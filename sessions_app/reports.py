"""What each process reports of itself every few seconds: that it is there, and its builders."""

import asyncio

import structlog

from sessions_app import builder_records, workers
from sessions_app.dispatch.base import dispatcher
from sessions_app.errors import StorageUnavailable
from sessions_app.event_log import writer

log = structlog.get_logger(__name__)

EVERY = 5.0  # seconds


async def report() -> None:
    """Report until cancelled."""
    builders: builder_records.Metrics = {}
    while True:
        try:
            await writer.write(lambda tx: workers.record(tx, dispatcher().seen()))
            builders = await builder_records.record(builders)
        except StorageUnavailable:
            log.warning("reports.storage_unavailable")
        except Exception:
            log.exception("reports.failed")
        await asyncio.sleep(EVERY)


async def sign_off() -> None:
    """This process ends in good order."""
    try:
        await writer.write(lambda tx: workers.forget(tx, workers.NAME))
    except StorageUnavailable:
        log.warning("reports.storage_unavailable")

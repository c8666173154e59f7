"""The start of the runtime with the server, and its stop before the server stops.

Daphne and runserver send no ASGI lifespan, so the runtime follows the Twisted reactor there. Other
servers (uvicorn, hypercorn) send the lifespan. Without either, as in a test of the application, the
runtime does not start.
"""

import asyncio
import logging
import os
import sys
import traceback
from contextlib import suppress
from typing import Any

from asgiref.typing import ASGI3Application, ASGIReceiveCallable, ASGISendCallable, Scope
from django.core.exceptions import ImproperlyConfigured

from sessions_app.lifecycle import startup
from sessions_app.lifecycle.start_checks import check_start, unlock_postgresql

logger = logging.getLogger(__name__)

NO_LIFESPAN = (
    "No run goes on here: this server tells its application neither of its start nor of its stop. "
    "Start uvicorn without `--lifespan off`."
)


class WithRuntime:
    """An ASGI application with a running runtime while the server accepts requests."""

    def __init__(self, application: ASGI3Application) -> None:
        self._application = application
        self._starting: asyncio.Task[None] | None = None
        # True once the server has announced its start, or the missing announcement was logged.
        self._knows_start = False
        if "daphne.server" in sys.modules:  # Daphne serves, with a Twisted reactor
            self._follow_reactor()

    async def __call__(
        self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        """Serve one connection, once the runtime is up."""
        if scope["type"] == "lifespan":
            self._knows_start = True
            await _lifespan(receive, send)
            return
        if self._starting is not None and not self._starting.done():
            await asyncio.shield(self._starting)
        if not self._knows_start:
            self._knows_start = True  # log the error once only
            logger.error(NO_LIFESPAN)
        # Shield the request, because Daphne cancels all requests when it stops. A client could then
        # not read why its socket is closed, and Django's handler would leave tasks behind. After a
        # grace period, the request is cancelled after all.
        task = asyncio.ensure_future(self._application(scope, receive, send))
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            await asyncio.wait([task], timeout=startup.GOODBYE)
            task.cancel()
            raise

    def _follow_reactor(self) -> None:
        """Start and stop the runtime with Twisted's reactor, in which Daphne and its runserver run.

        Under another server, the reactor never runs, and calls nothing.
        """
        from twisted.internet import defer, reactor, tcp  # noqa: PLC0415

        def stop() -> Any:
            # Stop listening, so that new clients reach another process instead of one that is
            # stopping.
            for reader in reactor.getReaders():
                if isinstance(reader, tcp.Port):
                    reader.stopListening()
            return defer.Deferred.fromFuture(asyncio.ensure_future(self._stop()))

        # Delay the start, because the event loop runs only after the reactor has started.
        reactor.callWhenRunning(reactor.callLater, 0, self._begin)
        reactor.addSystemEventTrigger("before", "shutdown", stop)

    def _begin(self) -> None:
        self._knows_start = True
        self._starting = asyncio.get_running_loop().create_task(_start_or_exit())

    async def _stop(self) -> None:
        if self._starting is not None:
            self._starting.cancel()
            await asyncio.wait([self._starting])
        try:
            await _end()
        except Exception:  # log the error, which Twisted would drop
            logger.exception("The runtime did not stop cleanly")


async def _start() -> None:
    await asyncio.to_thread(check_start)
    await startup.start()


async def _end() -> None:
    await startup.stop()
    await asyncio.to_thread(unlock_postgresql)


async def _start_or_exit() -> None:
    try:
        await _start()
    except Exception as error:  # noqa: BLE001 - on any error, a half-started server must exit
        with suppress(OSError, ValueError):  # exit even if stderr is already closed
            print(_reason(error), file=sys.stderr, flush=True)  # noqa: T201 - logs may be off
        # Use os._exit: sys.exit would wait for threads of the half-started runtime, and in
        # runserver's reloader would end this thread only.
        os._exit(1)


async def _lifespan(receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
    await receive()
    try:
        await _start()
    except Exception as error:  # noqa: BLE001 - servers read it as "no lifespan" and continue
        await send({"type": "lifespan.startup.failed", "message": _reason(error)})
        return
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await _end()
    await send({"type": "lifespan.shutdown.complete"})


def _reason(error: Exception) -> str:
    if isinstance(error, ImproperlyConfigured):
        return str(error)
    return "".join(traceback.format_exception(error))

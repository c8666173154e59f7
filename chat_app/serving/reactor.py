"""The start and the stop of Twisted's reactor, in which Daphne and its runserver serve.

Under another server it never runs, and what was to be called is not.
"""

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.tcp import Port


def call(on_start: Callable[[], None], on_stop: Callable[[], Coroutine[None, None, None]]) -> None:
    """Call one function once the reactor runs, and wait for the other before it stops."""
    # Not at once: the event loop runs only after the reactor has started.
    reactor.callWhenRunning(reactor.callLater, 0, on_start)
    reactor.addSystemEventTrigger("before", "shutdown", partial(_stop, on_stop))


def _stop(on_stop: Callable[[], Coroutine[None, None, None]]) -> Deferred[None]:
    # Who comes from here on is to find another process, not one that hangs up.
    for reader in reactor.getReaders():
        if isinstance(reader, Port):
            reader.stopListening()
    return Deferred.fromFuture(asyncio.ensure_future(on_stop()))

"""The threads that a process cannot do without: it ends with the first of them that dies."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from sessions_app.logs import Log

log = Log(__name__)


@contextmanager
def vital() -> Iterator[None]:
    """End the process where the block or the function, the body of a thread, raises.

    Who started the process starts it again. Without the thread it would look well, and store
    nothing.
    """
    try:
        yield
    except BaseException:
        log.exception("thread.died", thread=threading.current_thread().name)
        os._exit(1)

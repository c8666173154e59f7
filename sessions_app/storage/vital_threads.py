"""The threads that a process cannot do without: the process ends with the first that dies."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from sessions_app.logs import Log

log = Log(__name__)


@contextmanager
def vital() -> Iterator[None]:
    """End the process if the block or the function, the body of a thread, raises an error.

    The supervisor starts the process again. Without the thread the process would look healthy,
    and store nothing.
    """
    try:
        yield
    except BaseException:
        log.exception("thread.died", thread=threading.current_thread().name)
        os._exit(1)

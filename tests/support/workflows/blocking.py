"""A function that blocks the event loop, which workflows must not do."""

import asyncio
import re
import sqlite3
import threading
import time
from contextlib import suppress
from typing import Literal

from sessions_app.workflows import Context
from tests.support.workflows.registry import Chunks, by_message

ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"
How = Literal["loop", "sleep", "task", "regex", "loop_then_wait", "c_call"]


@by_message
async def block(context: Context, how: How, seconds: float = 0) -> Chunks:
    """Block the event loop for so many seconds or, by a regular expression, for ever."""
    yield "block "
    await asyncio.sleep(0.1)
    match how:
        case "loop":
            spin(seconds)
        case "sleep":
            time.sleep(seconds)  # noqa: ASYNC251 - just this
        case "task":
            await asyncio.gather(asyncio.to_thread(time.sleep, 0), spin_async(seconds))
        case "regex":
            re.match("(a+)+$", "a" * 60 + "b")
        case "loop_then_wait":
            with suppress(BaseException):
                spin(seconds)
            await asyncio.sleep(seconds)
        case "c_call":
            with sqlite3.connect(":memory:") as database, suppress(sqlite3.OperationalError):
                threading.Timer(seconds, database.interrupt).start()
                database.execute(ENDLESS)
    yield "and on"


def spin(seconds: float) -> None:
    """Block in a loop of Python code."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass


async def spin_async(seconds: float) -> None:
    """Block in a coroutine's loop, without a wait."""
    spin(seconds)

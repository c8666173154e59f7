"""Functions that fail, or make their process fail."""

import asyncio
import ctypes
import os
import threading
from contextlib import suppress
from typing import Literal

from sessions_app.workflows import Context
from tests.support.workflows.registry import Chunks, by_message

UNSTORABLE = {"nul": "a\0b", "surrogate": "a\ud800b"}


@by_message
async def fail(context: Context, text: str = "so far ") -> Chunks:
    """Say the text, then raise an error whose own text nobody must see."""
    if text:
        yield text
    raise ValueError("internal secret")


@by_message
async def ignore_stop(context: Context, seconds: float) -> Chunks:
    """Wait so many seconds, and go on if the run is stopped meanwhile."""
    with suppress(asyncio.CancelledError):
        await asyncio.sleep(seconds)
    yield "so there"


@by_message
async def use_unstorable_text(
    context: Context,
    way: Literal["say", "show", "raise", "step", "title"],
    kind: Literal["nul", "surrogate"],
) -> Chunks:
    """Use a text that no database stores, in that way."""
    text = UNSTORABLE[kind]
    match way:
        case "show":
            context.show(text, text)
        case "raise":
            raise ValueError(text)
        case "step":
            await context.step(str, text)
        case "title":
            await context.step(len, text, title=text)
    yield text


@by_message
async def exit_process(context: Context) -> Chunks:
    """End the process at once, as a crash does."""
    yield "exit"
    await asyncio.sleep(0)
    os._exit(1)


@by_message
async def kill_threads(context: Context, name: str) -> Chunks:
    """Kill the threads of that name in this process, each at its next line of Python."""
    yield "kill"
    for thread in threading.enumerate():
        if thread.name == name:
            ident = ctypes.c_ulong(thread.ident or 0)
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ident, ctypes.py_object(SystemExit))

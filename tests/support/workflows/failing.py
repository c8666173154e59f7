"""Functions that fail, or that end their process, called by messages."""

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
    """Output the text, then raise an error whose message must not be shown to people."""
    if text:
        yield text
    raise ValueError("internal secret")


@by_message
async def ignore_stop(context: Context, seconds: float) -> Chunks:
    """Wait so many seconds, even if the run is stopped in the meantime."""
    with suppress(asyncio.CancelledError):
        await asyncio.sleep(seconds)
    yield "so there"


@by_message
async def use_unstorable_text(
    context: Context,
    way: Literal["say", "show", "raise", "step", "title"],
    kind: Literal["nul", "surrogate"],
) -> Chunks:
    """Pass a text that no database stores to a part of the runtime."""
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
    """End the process immediately, like a crash."""
    yield "exit"
    await asyncio.sleep(0)
    os._exit(1)


@by_message
async def kill_threads(context: Context, name: str) -> Chunks:
    """End the threads of that name in this process, each at its next line of Python."""
    yield "kill"
    for thread in threading.enumerate():
        if thread.name == name:
            ident = ctypes.c_ulong(thread.ident or 0)
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ident, ctypes.py_object(SystemExit))

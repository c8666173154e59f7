"""Time limits of asyncio around a wait of a run, which no journal records."""

import asyncio
import gc
from types import AsyncGeneratorType, CoroutineType, MethodType
from typing import Any

from sessions_app.workflows import execution

WAIT_FOR = asyncio.wait_for.__code__


def time_limit_around(part: Any) -> str:
    """Return the function that waits within a time limit, or "".

    `part` is a suspended coroutine or asynchronous generator. What it awaits is searched, down to
    the call of the run's context, for an `asyncio.timeout` that will pass and an
    `asyncio.wait_for`. Each question comes here, so there are few calls.
    """
    caller = None
    while part is not None:
        kind = type(part)
        if kind is CoroutineType:
            code, awaited = part.cr_code, part.cr_await
        elif kind is AsyncGeneratorType:
            code, awaited = part.ag_code, part.ag_await
        else:
            part = _generator_of(part)
            continue
        if code.co_filename == execution.__file__:
            return ""
        if code is not WAIT_FOR:
            caller = code
        elif part.cr_frame.f_locals["timeout"] is not None:
            return "" if caller is None else str(caller.co_qualname)
        # During an `async with`, a coroutine refers to its object, or to a method of that.
        for one in gc.get_referents(part):
            owner = one.__self__ if type(one) is MethodType else one
            if type(owner) is asyncio.Timeout and _will_pass(owner):
                return str(code.co_qualname)
        part = awaited
    return ""


def _generator_of(part: object) -> object:
    """Return the asynchronous generator or coroutine behind its next value, or behind a wrapper."""
    kinds = (AsyncGeneratorType, CoroutineType)
    return next((one for one in gc.get_referents(part) if type(one) in kinds), None)


def _will_pass(limit: asyncio.Timeout) -> bool:
    """Return whether a timeout has begun, has not ended, and has a time in the future."""
    when = limit.when()
    if when is None or when <= asyncio.get_running_loop().time():
        return False
    try:
        limit.reschedule(when)
    except RuntimeError:  # its block has ended
        return False
    return True

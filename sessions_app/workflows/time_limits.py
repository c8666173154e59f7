"""Time limits of asyncio around a wait of a run, which no journal records."""

import asyncio
import gc
from collections.abc import AsyncGenerator, Coroutine, Iterator
from types import AsyncGeneratorType, CoroutineType
from typing import TypeAlias

# A part of a task that is suspended at an `await`. Python 3.11 has no parameters of these classes.
Suspended: TypeAlias = "CoroutineType[object, object, object] | AsyncGeneratorType[object, object]"


def time_limit_around(task: "asyncio.Task[object]") -> str:
    """Return the function of a suspended task that waits within a time limit, or "".

    A time limit is an `asyncio.timeout` that has a time, or an `asyncio.wait_for`, in the
    coroutines through which the task waits. Tasks that these have begun are not searched.
    """
    caller = ""
    for part in _parts(task.get_coro()):
        if isinstance(part, CoroutineType) and part.cr_code is asyncio.wait_for.__code__:
            frame = part.cr_frame
            if frame is not None and frame.f_locals["timeout"] is not None:
                return caller
            continue
        caller = part.__qualname__
        # During an `async with`, a coroutine refers to its object, or to a method of that.
        references = (getattr(one, "__self__", one) for one in gc.get_referents(part))
        if any(isinstance(one, asyncio.Timeout) and _will_pass(one) for one in references):
            return caller
    return ""


def _parts(awaited: object) -> Iterator[Suspended]:
    """Yield a coroutine and all that it awaits, from the outside to the inside."""
    while awaited is not None:
        if isinstance(awaited, CoroutineType):
            yield awaited
            awaited = awaited.cr_await
        elif isinstance(awaited, AsyncGeneratorType):
            yield awaited
            awaited = awaited.ag_await
        else:
            # The next value of an asynchronous generator, or a generator that drives a coroutine,
            # refers to the other. A future refers to none.
            kept = (
                one
                for one in gc.get_referents(awaited)
                if isinstance(one, Coroutine | AsyncGenerator)
            )
            awaited = next(kept, None)


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

"""Context variables that are set and reset exactly."""

import types
from collections.abc import Awaitable, Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from contextvars import Context, ContextVar
from functools import partial
from typing import Any, TypeAlias, TypeVar, cast

T = TypeVar("T")
Variables: TypeAlias = dict[ContextVar[Any], Any]


@contextmanager
def bind(values: Variables) -> Iterator[None]:
    """Set the variables to the values inside of the block."""
    tokens = [(variable, variable.set(value)) for variable, value in values.items()]
    try:
        yield
    finally:
        # ValueError: an async generator around the block was closed by another task. The context
        # that had the values went with its task, and the one here never had them.
        with suppress(ValueError):
            for variable, token in tokens:
                variable.reset(token)


@types.coroutine
def within(context: Context, awaitable: Awaitable[T]) -> Generator[Any, Any, T]:
    """Await something with `context` as the current one, in the caller's task.

    An async generator runs each step in the context of whoever asks for the step: what it sets
    would leak there, and would be missing where another task asks for the next one.
    """
    inner = awaitable.__await__()
    step: Callable[[], object] = partial(inner.send, None)
    while True:
        try:
            waits_for = context.run(step)
        except StopIteration as end:
            return cast("T", end.value)
        try:
            yield waits_for
        except GeneratorExit:
            context.run(inner.close)
            raise
        except BaseException as error:  # noqa: BLE001 - a cancellation too is the inner one's
            step = partial(inner.throw, error)
        else:
            step = partial(inner.send, None)

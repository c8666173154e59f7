"""Context variables with an exact reset."""

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
    """Set the variables to these values inside of the block."""
    tokens = [(variable, variable.set(value)) for variable, value in values.items()]
    try:
        yield
    finally:
        # ValueError: another task closed the async generator around the block. The values existed
        # only in the context of the first task.
        with suppress(ValueError):
            for variable, token in tokens:
                variable.reset(token)


@types.coroutine
def within(context: Context, awaitable: Awaitable[T]) -> Generator[Any, Any, T]:
    """Await something with `context` as the current one, in the caller's task.

    An async generator runs each step in its consumer's context: variables set in one step would
    leak there, and would be missing if another task asks for the next step.
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
        except BaseException as error:  # noqa: BLE001 - a cancellation, too, goes to `inner`
            step = partial(inner.throw, error)
        else:
            step = partial(inner.send, None)

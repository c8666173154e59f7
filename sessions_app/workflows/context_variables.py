"""Helpers that set context variables for a block, or await something in another context."""

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
    """Set context variables to these values during the block, and reset them afterwards."""
    tokens = [(variable, variable.set(value)) for variable, value in values.items()]
    try:
        yield
    finally:
        # A ValueError means that another task closed the async generator around the block. The
        # values exist only in the context of the first task, so nothing has to be reset.
        with suppress(ValueError):
            for variable, token in tokens:
                variable.reset(token)


@types.coroutine
def within(context: Context, awaitable: Awaitable[T]) -> Generator[Any, Any, T]:
    """Await something in the caller's task, but with `context` as the current context.

    An async generator executes each step in its consumer's context: variables set in one step would
    leak into the consumer, and would be missing if another task asks for the next step.
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

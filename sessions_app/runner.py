"""A runner executes the workflow function of one session for one message."""

import contextvars
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from types import AsyncGeneratorType
from typing import Any, TypeVar, cast, overload

from pydantic import TypeAdapter
from pydantic_core import to_json

from sessions_app.context import Context, current_context
from sessions_app.driver import Driver
from sessions_app.errors import SessionsError
from sessions_app.own_context import within
from sessions_app.request_context import (
    RequestContext,
    current_request,
    workflow_parent_id,
    workflow_parent_name,
)
from sessions_app.scope import Scope
from sessions_app.slots import Slot
from sessions_app.workflows.registry import Workflow

T = TypeVar("T")


class Runner:
    """Gives the result whole or in chunks; one of the two, once. Made by `Session.run`.

    The workflow runs in a context (of variables) of its own, whichever task asks for its chunks.
    """

    def __init__(self, workflow: Workflow, scope: Scope, driver: Driver, slot: Slot) -> None:
        self._workflow = workflow
        self.context = Context(scope, driver)
        self.failed = False
        self._own = contextvars.copy_context()
        self._own.run(_enter, self.context)
        self._values: AsyncGeneratorType[Any, None] | None = None
        driver.attach(slot)

    async def result_stream(self) -> AsyncGenerator[str, None]:
        """The output as text, in chunks as the workflow yields them; one that does not stream
        gives one chunk.

        Raises:
            SessionsError: the result was taken before.
            RunEnded: the session's `run()` block was left.
        """
        async with aclosing(self._begin()) as values:
            async for value in values:
                if value is not None:
                    yield _as_text(value)

    @overload
    async def result(self) -> Any: ...
    @overload
    async def result(self, to_type: type[T]) -> T: ...
    async def result(self, to_type: Any = None) -> Any:
        """What the workflow returns; of one that streams, its chunks joined as text.

        Args:
            to_type: have it converted to this type, as pydantic does; `str` gives JSON for what
                is no text.

        Raises:
            SessionsError: the result was taken before.
            pydantic.ValidationError: it is not of `to_type`.
        """
        async with aclosing(self._begin()) as values:
            found = [value async for value in values]
        if self._workflow.streams:
            result: Any = "".join(_as_text(value) for value in found)
        else:
            [result] = found
        if to_type is None:
            return result
        return _as_text(result) if to_type is str else TypeAdapter(to_type).validate_python(result)

    async def close(self) -> None:
        """The run is over, one way or the other: what is left of the workflow is closed, and its
        context can do nothing more.
        """
        self.context.end()
        try:
            # Where another task is in it at this moment, its next call of the context fails.
            if self._values is not None and not self._values.ag_running:
                await self._values.aclose()
        finally:
            self.context.close()

    def _begin(self) -> AsyncGenerator[Any, None]:
        if self._values is not None:
            raise SessionsError("The result of this run was taken before; start another run.")
        self._values = cast("AsyncGeneratorType[Any, None]", self._execute())
        return self._values

    async def _execute(self) -> AsyncGenerator[Any, None]:
        function: Callable[..., Any] = self._workflow.function
        try:
            given = function(self.context.message, self.context)
            if not self._workflow.streams:
                yield await within(self._own, given)
                return
            try:
                while True:
                    try:
                        chunk = await within(self._own, anext(given))
                    except StopAsyncIteration:
                        break
                    yield chunk
            finally:
                await within(self._own, given.aclose())
        except Exception:
            self.failed = True
            raise


def _enter(context: Context) -> None:
    """What the workflow's own code finds around it. A session that it opens is of the same trace;
    all else of the request, and the parent, is this run's and no other's.
    """
    current_context.set(context)
    current_request.set(RequestContext(user_id=context.user_id, trace=context.trace))
    workflow_parent_id.set(None)
    workflow_parent_name.set(None)


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else to_json(value).decode()

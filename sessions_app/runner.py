"""A runner executes the workflow function of one session for one message."""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from contextvars import ContextVar
from typing import Any

from pydantic_core import to_json

from sessions_app.context import Context, Driver, Scope
from sessions_app.slots import Slot
from sessions_app.workflows.registry import Workflow

# The context of the run that the current task executes.
current_context: ContextVar[Context | None] = ContextVar("current_context", default=None)


class Runner:
    """Gives the result whole or in chunks; one of the two, once."""

    def __init__(self, workflow: Workflow, scope: Scope, driver: Driver, slot: Slot) -> None:
        self._workflow = workflow
        self.context = Context(scope, driver)
        self.slot = slot
        self.failed = False
        driver.attach(slot)
        self._token = current_context.set(self.context)

    async def result_stream(self) -> AsyncGenerator[str, None]:
        """The output as text, in chunks as the workflow yields them."""
        function: Callable[..., Any] = self._workflow.function
        self.failed = True
        if self._workflow.streams:
            async with aclosing(function(self.context.message, self.context)) as chunks:
                async for chunk in chunks:
                    yield _as_text(chunk)
        else:
            result = await function(self.context.message, self.context)
            if result is not None:
                yield _as_text(result)
        self.failed = False

    async def result(self) -> str:
        """The whole output as text."""
        async with aclosing(self.result_stream()) as chunks:
            return "".join([chunk async for chunk in chunks])

    def close(self) -> None:
        """The run is over, one way or the other."""
        self.context.end()
        current_context.reset(self._token)


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else to_json(value).decode()

"""Sessions of unregistered workflows without a server, with builders that keep a log."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from sessions_app.sessions.manager import SessionManager
from sessions_app.workflows import Person
from sessions_app.workflows.concurrency import Limit
from sessions_app.workflows.config import WorkflowConfig
from sessions_app.workflows.registry import NoOptions, Workflow, declared_workflows


def declare(function: Callable[..., Any], **fields: Any) -> Workflow:
    """Declare a workflow for one test."""
    declared: dict[str, Any] = {
        "name": function.__name__,
        "title": "T",
        "description": "",
        "function": function,
        "per_user_builder": None,
        "shared_builder": None,
        "options": NoOptions,
        "second_message": "enqueue",
        "starters": (),
        **fields,
    }
    return Workflow(**declared)


@asynccontextmanager
async def managing(
    workflow: Workflow, *, shared_builder: Any = None, **config: Any
) -> AsyncIterator[SessionManager]:
    """Create a manager of the workflow, and shut it down at the end."""
    manager = await SessionManager.create(
        WorkflowConfig(**config), shared_builder, entry_function=workflow
    )
    try:
        yield manager
    finally:
        await manager.shutdown()


async def in_script(workflow: str, text: str = "x", **callbacks: Any) -> Any:
    """Return the result of a workflow's run in a script without a server."""
    async with managing(declared_workflows()[workflow]) as manager:
        return await say(manager, text, **callbacks)


async def say(manager: SessionManager, text: str = "x", **session: Any) -> Any:
    """Run the workflow in a new session, and return the result."""
    async with manager.run(text, **session) as runner:
        return await runner.result()


@dataclass
class Made:
    """The product of a builder."""

    name: str
    closed: bool = False


@asynccontextmanager
async def managing_with_log(
    function: Callable[..., Any], **config: Any
) -> AsyncIterator[tuple[SessionManager, "Log"]]:
    """Create a manager of a per-user workflow; yield the manager and the log of its builders."""
    log = Log()
    async with managing(declare(function, per_user_builder=log.build), **config) as manager:
        yield manager, log


class Log:
    """Builder functions with a log of each build and closing; a held step waits at its gate."""

    def __init__(self) -> None:
        self.entries: list[str] = []
        self.made: list[Made] = []
        self.gates: dict[str, tuple[asyncio.Event, Exception | None]] = {}
        self._counts: dict[str, int] = {}
        self._news = asyncio.Condition()

    def hold(self, name: str, *, error: Exception | None = None) -> asyncio.Event:
        """Hold the user's next build until the returned event is set; then raise the error, if any.

        `"<user> closing"` holds the closing.
        """
        gate = asyncio.Event()
        self.gates[name] = (gate, error)
        return gate

    @asynccontextmanager
    async def build(self, user: Person, options: BaseModel) -> AsyncIterator[Made]:
        """Build for one user: a per-user builder function."""
        name = user.username
        self._counts[name] = self._counts.get(name, 0) + 1
        await self._note(f"{name} building")
        await self._pass(name)
        product = Made(f"{name}#{self._counts[name]}")
        self.made.append(product)
        await self._note(f"{name} built")
        try:
            yield product
        finally:
            if f"{name} closing" in self.gates:
                await self._note(f"{name} closing")
                await self._pass(f"{name} closing")
            product.closed = True
            await self._note(f"{name} closed")

    @asynccontextmanager
    async def build_shared(self, options: BaseModel) -> AsyncIterator[Made]:
        """Build for all users: a shared builder function."""
        yield Made("shared")
        await self._note("shared closed")

    async def until(self, entry: str) -> None:
        """Wait until the log has the entry."""
        async with asyncio.timeout(10), self._news:
            await self._news.wait_for(lambda: entry in self.entries)

    async def _note(self, entry: str) -> None:
        self.entries.append(entry)
        async with self._news:
            self._news.notify_all()

    async def _pass(self, name: str) -> None:
        gate, error = self.gates.get(name, (None, None))
        if gate is not None:
            await gate.wait()
            self.gates.pop(name, None)
        if error is not None:
            raise error


async def turns(count: int = 100) -> None:
    """Let the event loop turn often enough for everything that waits for nothing to end."""
    for _ in range(count):
        await asyncio.sleep(0)


def free(limit: Limit) -> int:
    """Return the number of free slots under the limit."""
    assert isinstance(limit, asyncio.Semaphore)
    return limit._value

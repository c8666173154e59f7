"""A workflow whose code a test replaces while its runs wait."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

from sessions_app.workflows import Context, Message, workflow
from tests.support.hosting import Hosting

Body = Callable[[Context], Awaitable[str]]
# `body` is the deployed code; `executed` has the arguments of executed steps.
body: list[Body] = []
executed: list[str] = []


def deploy(code: Body) -> None:
    """Deploy this code: all later executions use it."""
    body[:] = [code]


def host_code(code: Body, **config: Any) -> Hosting:
    """Host this code, and forget the steps executed so far."""
    executed.clear()
    deploy(code)
    return Hosting("t_deployed", **config)


def work(name: str) -> str:
    """A step."""
    executed.append(name)
    return name


def other(name: str) -> str:
    """Do the same work under another function name."""
    return work(name)


@workflow(name="t_deployed", title="Whatever is deployed")
async def whatever(message: Message, context: Context) -> AsyncGenerator[str, None]:
    """Execute the deployed code."""
    yield await body[0](context)

"""A built object: what a workflow's builder makes, from its beginning to its end."""

import asyncio
import inspect
from collections.abc import Collection
from contextlib import AsyncExitStack
from contextvars import Context

from sessions_app.errors import BuilderFailed
from sessions_app.logs import Log
from sessions_app.workflows.registry import BuilderFactory

log = Log(__name__)

# Seconds that a builder may take to close; then it is cancelled, and again every so often: each
# cancellation frees one thing that hangs, and a builder may be made of several.
CLOSE_WAIT = 10.0
CUT_EVERY = 1.0


class BuiltObject:
    """A built object. Its life is one task: it is entered and left in the same one, which the
    cancel scopes of many clients (anyio) demand, and in a context of its own, for it outlives the
    request that asked for it.

    `factory(*arguments)` is an async function or async context manager, or gives a plain value.
    It is called once `after` is closed. From `end` on it has `CLOSE_WAIT` seconds to close, whoever
    waits for that.
    """

    def __init__(
        self, factory: BuilderFactory, *arguments: object, after: "BuiltObject | None" = None
    ) -> None:
        loop = asyncio.get_running_loop()
        self._ready: asyncio.Future[object] = loop.create_future()
        self._end = asyncio.Event()
        self._is_building = False
        self._cutting: asyncio.TimerHandle | None = None
        live = self._live(factory, arguments, after)
        self.task = loop.create_task(live, name="builder", context=Context())

    @property
    def has_failed(self) -> bool:
        """True if it could not be built, or was closed before it was."""
        return self._ready.done() and self._ready.exception() is not None

    @property
    def is_ready(self) -> bool:
        """True once it is built, or has failed."""
        return self._ready.done()

    async def ready(self) -> object:
        """Wait until it is built; whoever waits may be cancelled without harm to it.

        Raises:
            BuilderFailed: it could not be built; says why.
        """
        return await asyncio.shield(self._ready)

    def end(self) -> None:
        """Close it, without waiting. One that is still being built is given up."""
        self._end.set()
        if self._is_building:
            self.task.cancel()
            self._limit()

    async def close(self) -> None:
        """Close it, and wait for that. A failure to close is logged, not raised: nobody could act
        on it.
        """
        self.end()
        await wait_closed([self])

    def _limit(self) -> None:
        if self._cutting is None:
            self._cutting = asyncio.get_running_loop().call_later(CLOSE_WAIT, self._cut_off)

    def _cut_off(self) -> None:
        log.error("builder.close_late", seconds=CLOSE_WAIT)
        self.task.cancel()
        self._cutting = asyncio.get_running_loop().call_later(CUT_EVERY, self._cut_off)

    async def _live(
        self, factory: BuilderFactory, arguments: tuple[object, ...], after: "BuiltObject | None"
    ) -> None:
        try:
            if after is not None:
                await asyncio.wait([after.task])
            async with AsyncExitStack() as stack:
                if not self._end.is_set():
                    await self._build(stack, factory, arguments)
                    await self._end.wait()
                    self._limit()
        except Exception:
            log.exception("builder.close_failed")
        finally:
            if self._cutting is not None:
                self._cutting.cancel()
            if not self._ready.done():
                self._ready.set_exception(
                    BuilderFailed("The build was cancelled before it was ready.")
                )
            self._ready.exception()  # looked at: it is no loss if nobody waits for it

    async def _build(
        self, stack: AsyncExitStack, factory: BuilderFactory, arguments: tuple[object, ...]
    ) -> None:
        self._is_building = True
        try:
            value = factory(*arguments)
            if hasattr(value, "__aenter__"):
                value = await stack.enter_async_context(value)
            elif inspect.isawaitable(value):
                value = await value
        except Exception as error:  # noqa: BLE001 - whoever waits for it is told
            failure = BuilderFailed(f"{type(error).__name__}: {error}")
            failure.__cause__ = error
            self._ready.set_exception(failure)
            self._end.set()
        else:
            self._ready.set_result(value)
        finally:
            self._is_building = False


async def wait_closed(builders: Collection[BuiltObject]) -> None:
    """Wait for the end of builders that are to close, as long as `CLOSE_WAIT` gives them."""
    await asyncio.wait([builder.task for builder in builders], timeout=CLOSE_WAIT + CUT_EVERY)

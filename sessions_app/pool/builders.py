"""The builders of a workflow, whose objects are shared or per user, and closed when idle."""

import asyncio
import inspect
import time
from collections.abc import Collection
from contextlib import AsyncExitStack
from contextvars import Context
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr

from sessions_app.errors import BuilderFailed, SessionsError
from sessions_app.logs import Log
from sessions_app.models.people import Person
from sessions_app.workflows.concurrency import Limit, limit_of
from sessions_app.workflows.registry import BuilderFactory, OfferedWorkflow

log = Log(__name__)

SHUT = "This SessionManager is shut down."
# Seconds that a builder may take to close before it is cancelled, and seconds between further
# cancellations. A builder may hang at several points, and each cancellation ends one wait.
CLOSE_WAIT = 10.0
CUT_EVERY = 1.0


class BuiltObject:
    """The object that a builder made, kept open by a separate asyncio task.

    The object's context manager is entered and left in the same task, as the cancel scopes of many
    clients (anyio) demand, and in a fresh context, because the object outlives the first request.

    `factory(*arguments)` is an async function or async context manager, or returns a plain value.
    It is called after the object `after` is closed. After `end`, the object has `CLOSE_WAIT`
    seconds to close, even if no caller waits for this.
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
        """True if the build failed, or was ended before it was ready."""
        return self._ready.done() and self._ready.exception() is not None

    @property
    def is_ready(self) -> bool:
        """True once the object is built, or has failed."""
        return self._ready.done()

    async def ready(self) -> object:
        """Wait until the object is built; cancelling the wait does not cancel the build.

        Raises:
            BuilderFailed: the build failed; says why.
        """
        return await asyncio.shield(self._ready)

    def end(self) -> None:
        """Start closing the built object, or cancel its build; do not wait for either."""
        self._end.set()
        if self._is_building:
            self.task.cancel()
            self._limit()

    async def close(self) -> None:
        """Close the object and wait for this; a failure is only logged, as no caller can react."""
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
            self._ready.exception()  # mark the error as retrieved, in case no caller awaits it

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
        except Exception as error:  # noqa: BLE001 - `ready` raises it
            failure = BuilderFailed(f"{type(error).__name__}: {error}")
            failure.__cause__ = error
            self._ready.set_exception(failure)
            self._end.set()
        else:
            self._ready.set_result(value)
        finally:
            self._is_building = False


async def wait_closed(builders: Collection[BuiltObject]) -> None:
    """Wait until these builders are closed, or until just after their `CLOSE_WAIT` seconds."""
    await asyncio.wait([builder.task for builder in builders], timeout=CLOSE_WAIT + CUT_EVERY)


class PerUserBuilderInfo(BaseModel):
    """A user's builder and the record of its use.

    Attributes:
        builder: the object that `per_user_builder` made; None until it is ready.
        workflow: the workflow whose runs use the builder.
        semaphore: the user's own limit of concurrent runs; a `nullcontext` is no limit.
        ref_count: number of sessions that use the builder or wait for it; evicted only at 0.
        lock: a lock for workflows, for work that runs of one user must not do concurrently. The
            runtime itself needs none: it changes `ref_count` without awaiting anything.
        created_at: time of the first request for the builder.
        total_requests: number of ended runs.
        error_count: number of runs that ended with an error; cancelled runs do not count.
        total_latency_ms: milliseconds of all ended runs, without the time spent waiting for people.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, validate_assignment=True)

    builder: Any
    workflow: Any
    semaphore: Limit
    ref_count: int = Field(default=0, ge=0)
    lock: asyncio.Lock = Field(default_factory=asyncio.Lock)
    created_at: datetime = Field(default_factory=timezone.now)
    total_requests: int = Field(default=0, ge=0)
    error_count: int = Field(default=0, ge=0)
    total_latency_ms: float = Field(default=0, ge=0)
    # Monotonic time of the last use, so that setting the system's clock evicts no builder.
    _active_at: float = PrivateAttr(default_factory=time.monotonic)

    def __init__(self, *, last_activity: datetime | None = None, **fields: object) -> None:
        super().__init__(**fields)
        if last_activity is not None:
            self.last_activity = last_activity

    @property
    def active_at(self) -> float:
        """The time of the last use by a session, in seconds of the monotonic clock."""
        return self._active_at

    @property
    def last_activity(self) -> datetime:
        """The time of the last use, by the system's clock; a value without zone is local time."""
        return timezone.now() - timedelta(seconds=time.monotonic() - self._active_at)

    @last_activity.setter
    def last_activity(self, at: datetime) -> None:
        self._active_at = time.monotonic() - (timezone.now() - at.astimezone()).total_seconds()

    def touch(self) -> None:
        """Set the time of the last use: a session acquires or releases the builder now."""
        self._active_at = time.monotonic()

    def record_request(self, latency_ms: float, success: bool) -> None:
        """Count a finished run, which took `latency_ms` milliseconds."""
        self.total_requests += 1
        self.total_latency_ms += latency_ms
        if not success:
            self.error_count += 1

    def metrics(self) -> dict[str, float]:
        """Return the metrics that are stored for operators; `total_latency_ms` in milliseconds."""
        return {
            "total_requests": self.total_requests,
            "error_count": self.error_count,
            "total_latency_ms": round(self.total_latency_ms, 3),
            "ref_count": self.ref_count,
        }


@dataclass(frozen=True, slots=True)
class _PooledBuilder:
    info: PerUserBuilderInfo
    built: BuiltObject


class UserBuilders:
    """The builders of a workflow by user, with at most one open builder per user.

    Builders of different users are built and closed concurrently.
    """

    def __init__(self, offer: OfferedWorkflow) -> None:
        self._offer = offer
        self._pooled: dict[str, _PooledBuilder] = {}
        self._closing: dict[str, BuiltObject] = {}
        self._closed = False

    @property
    def infos(self) -> dict[str, PerUserBuilderInfo]:
        """The records of live builders, and of builders being built, by user id."""
        return {user_id: pooled_builder.info for user_id, pooled_builder in self._pooled.items()}

    async def acquire(self, user_id: str, person: Person) -> PerUserBuilderInfo:
        """Return the user's builder, counted as in use until `release`; build a missing builder.

        Concurrent callers share one build and its outcome. A build without waiting callers is
        cancelled, so that a hanging build does not block the user's next request.

        Raises:
            BuilderFailed: the build failed; the next request tries anew.
            SessionsError: the pool is shut down.
        """
        if self._closed:
            raise SessionsError(SHUT)
        pooled_builder = self._pooled.get(user_id)
        if pooled_builder is None or pooled_builder.built.has_failed:
            pooled_builder = self._pooled[user_id] = self._begin(user_id, person)
        info, built = pooled_builder.info, pooled_builder.built
        # No `await` comes between the lookup and this line, so the builder cannot be evicted yet.
        info.ref_count += 1
        try:
            info.builder = await built.ready()
        except BaseException:
            self.release(info)
            is_over = built.has_failed or not (info.ref_count or built.is_ready)
            if is_over and self._pooled.get(user_id) is pooled_builder:
                self._retire(user_id).end()
            raise
        info.touch()
        return info

    def release(self, info: PerUserBuilderInfo) -> None:
        """Note that one use of a user's builder, begun by `acquire`, has ended."""
        info.ref_count -= 1
        info.touch()

    async def evict(self, user_id: str) -> bool:
        """Close the user's builder; return False if the builder is in use or missing.

        Before it returns, also wait for a builder that another call has begun to close: afterwards
        another process may host the user's runs, with a builder of its own.
        """
        pooled_builder = self._pooled.get(user_id)
        is_free = pooled_builder is not None and not pooled_builder.info.ref_count
        if is_free:
            self._retire(user_id).end()
        if (closing := self._closing.get(user_id)) is not None:
            await wait_closed([closing])
        return is_free

    async def evict_idle(self, seconds: float) -> int:
        """Close the builders that have been idle for `seconds`; return the number of builders."""
        limit = time.monotonic() - seconds
        idle = [
            user_id
            for user_id, pooled_builder in self._pooled.items()
            if not pooled_builder.info.ref_count and pooled_builder.info.active_at <= limit
        ]
        return sum(await asyncio.gather(*(self.evict(user_id) for user_id in idle)))

    async def close(self) -> None:
        """Close all builders, even builders in use, and wait for this; refuse to build more."""
        self._closed = True
        for user_id in list(self._pooled):
            self._retire(user_id).end()
        if self._closing:
            await wait_closed(self._closing.values())

    def _begin(self, user_id: str, person: Person) -> _PooledBuilder:
        offer, factory = self._offer, self._offer.workflow.per_user_builder
        assert factory is not None  # noqa: S101 - checked by the callers
        built = BuiltObject(factory, person, offer.options, after=self._closing.get(user_id))
        limit = limit_of(offer.config.max_concurrency)
        info = PerUserBuilderInfo(builder=None, workflow=offer.workflow, semaphore=limit)
        return _PooledBuilder(info, built)

    def _retire(self, user_id: str) -> BuiltObject:
        """Take a builder out of use; the user's next builder waits until this one is closed."""
        built = self._pooled.pop(user_id).built
        if not built.task.done():
            self._closing[user_id] = built
            built.task.add_done_callback(lambda _: self._forget(user_id, built))
        return built

    def _forget(self, user_id: str, built: BuiltObject) -> None:
        if self._closing.get(user_id) is built:
            del self._closing[user_id]

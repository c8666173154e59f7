"""The builders of a workflow's users: built once for each, closed when idle."""

import asyncio
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr

from sessions_app.errors import SessionsError
from sessions_app.models.people import Person
from sessions_app.pool.builder import BuiltObject, wait_closed
from sessions_app.workflows.concurrency import Limit, limit_of
from sessions_app.workflows.registry import OfferedWorkflow

SHUT = "This SessionManager is shut down."


class PerUserBuilderInfo(BaseModel):
    """A user's builder and the record of its use.

    Attributes:
        builder: what the workflow's `per_user_builder` made; None until it is ready.
        workflow: the workflow that it is for.
        semaphore: the user's own limit of runs at once; a null context is none.
        ref_count: the sessions that hold it, or wait for it to be built; never evicted above 0.
        lock: for what the runs of one user must not do at once. The runtime itself needs none: it
            changes the count without awaiting anything.
        created_at: when it was asked for first.
        total_requests: how many runs have ended.
        error_count: how many of them by an error; a cancelled one is none.
        total_latency_ms: milliseconds of all of them, without the time that people took.
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
    # Monotonic: a clock that is set must evict nobody.
    _active_at: float = PrivateAttr(default_factory=time.monotonic)

    def __init__(self, *, last_activity: datetime | None = None, **fields: object) -> None:
        super().__init__(**fields)
        if last_activity is not None:
            self.last_activity = last_activity

    @property
    def active_at(self) -> float:
        """The time when a session last took or returned it, in seconds of the monotonic clock."""
        return self._active_at

    @property
    def last_activity(self) -> datetime:
        """The same as a time, by the clock as it stands now; one that is set without a zone is
        local.
        """
        return timezone.now() - timedelta(seconds=time.monotonic() - self._active_at)

    @last_activity.setter
    def last_activity(self, at: datetime) -> None:
        self._active_at = time.monotonic() - (timezone.now() - at.astimezone()).total_seconds()

    def touch(self) -> None:
        """Note that a session takes it or returns it now."""
        self._active_at = time.monotonic()

    def record_request(self, latency_ms: float, success: bool) -> None:
        """Count a finished run; `latency_ms` is its milliseconds."""
        self.total_requests += 1
        self.total_latency_ms += latency_ms
        if not success:
            self.error_count += 1

    def metrics(self) -> dict[str, float]:
        """Return what the lease of its key records; `total_latency_ms` is in milliseconds."""
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
    """Builders by user. Those of different users are built and closed at the same time; of one
    user there is never more than one alive.
    """

    def __init__(self, offer: OfferedWorkflow) -> None:
        self._workflow = offer.workflow
        self._options = offer.options
        self._max_concurrency = offer.config.max_concurrency
        self._pooled: dict[str, _PooledBuilder] = {}
        self._closing: dict[str, BuiltObject] = {}
        self._closed = False

    @property
    def infos(self) -> dict[str, PerUserBuilderInfo]:
        """The live builders, and those being built, by user id."""
        return {user_id: pooled_builder.info for user_id, pooled_builder in self._pooled.items()}

    async def acquire(self, user_id: str, person: Person) -> PerUserBuilderInfo:
        """Return the user's builder with a reference taken; `release` gives it back.

        All who wait for one build share what it comes to. One that nobody waits for any more is
        given up, so that a build which hangs does not hang the user's next request.

        Raises:
            BuilderFailed: it could not be built; the next request tries anew.
            SessionsError: the pool is shut down.
        """
        if self._closed:
            raise SessionsError(SHUT)
        pooled_builder = self._pooled.get(user_id)
        if pooled_builder is None or pooled_builder.built.has_failed:
            pooled_builder = self._pooled[user_id] = self._begin(user_id, person)
        # Nothing awaits between finding it and this: nothing can evict it.
        pooled_builder.info.ref_count += 1
        try:
            pooled_builder.info.builder = await pooled_builder.built.ready()
        except BaseException:
            self.release(pooled_builder.info)
            given_up = not (pooled_builder.info.ref_count or pooled_builder.built.is_ready)
            if (given_up or pooled_builder.built.has_failed) and self._pooled.get(
                user_id
            ) is pooled_builder:
                self._let_go(user_id).end()
            raise
        pooled_builder.info.touch()
        return pooled_builder.info

    def release(self, info: PerUserBuilderInfo) -> None:
        """Return a reference to a user's builder."""
        info.ref_count -= 1
        info.touch()

    async def evict(self, user_id: str) -> bool:
        """Close the user's builder unless it is in use. False if it is, or if there is none."""
        pooled_builder = self._pooled.get(user_id)
        if pooled_builder is None or pooled_builder.info.ref_count:
            return False
        await self._let_go(user_id).close()
        return True

    async def evict_idle(self, seconds: float) -> int:
        """Close the builders that nothing used for so many seconds; returns how many."""
        limit = time.monotonic() - seconds
        idle = [
            user_id
            for user_id, pooled_builder in self._pooled.items()
            if not pooled_builder.info.ref_count and pooled_builder.info.active_at <= limit
        ]
        return sum(await asyncio.gather(*(self.evict(user_id) for user_id in idle)))

    async def close(self) -> None:
        """Close all builders, used or not, and wait for those that are being closed. No other is
        built.
        """
        self._closed = True
        for user_id in list(self._pooled):
            self._let_go(user_id).end()
        if self._closing:
            await wait_closed(self._closing.values())

    def _begin(self, user_id: str, person: Person) -> _PooledBuilder:
        factory = self._workflow.per_user_builder
        assert factory is not None  # noqa: S101 - only workflows with one have a pool
        built = BuiltObject(factory, person, self._options, after=self._closing.get(user_id))
        info = PerUserBuilderInfo(
            builder=None,
            workflow=self._workflow,
            semaphore=limit_of(self._max_concurrency),
        )
        return _PooledBuilder(info, built)

    def _let_go(self, user_id: str) -> BuiltObject:
        """Hide a builder that is being closed; the user's next one is built when that is over."""
        built = self._pooled.pop(user_id).built
        if not built.task.done():
            self._closing[user_id] = built
            built.task.add_done_callback(lambda _: self._forget(user_id, built))
        return built

    def _forget(self, user_id: str, built: BuiltObject) -> None:
        if self._closing.get(user_id) is built:
            del self._closing[user_id]

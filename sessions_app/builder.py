"""Per-user builders: what one user's runs share, built once, closed when idle."""

import asyncio
import inspect
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

import structlog
from pydantic import BaseModel, ConfigDict, Field

from sessions_app.errors import BuilderFailed

log = structlog.get_logger(__name__)


class PerUserBuilderInfo(BaseModel):
    """One user's builder and the record of its use.

    `last_activity` and `created_at` are of the monotonic clock, in seconds; latency is in
    milliseconds and leaves out the time that a person took to answer.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, validate_assignment=True)

    builder: Any
    workflow: Any
    semaphore: asyncio.Semaphore
    last_activity: float = Field(default_factory=time.monotonic)
    ref_count: int = Field(default=0, ge=0)
    lock: asyncio.Lock = Field(default_factory=asyncio.Lock)
    created_at: float = Field(default_factory=time.monotonic)
    total_requests: int = Field(default=0, ge=0)
    error_count: int = Field(default=0, ge=0)
    total_latency_ms: float = Field(default=0, ge=0)

    def record_request(self, latency_ms: float, success: bool) -> None:
        """Count a finished request."""
        self.total_requests += 1
        self.total_latency_ms += latency_ms
        if not success:
            self.error_count += 1

    def metrics(self) -> dict[str, float]:
        """What the lease of its key records."""
        return {
            "total_requests": self.total_requests,
            "error_count": self.error_count,
            "total_latency_ms": round(self.total_latency_ms, 3),
            "ref_count": self.ref_count,
        }


class Built:
    """A built object and how to close it."""

    def __init__(self, value: Any, stack: AsyncExitStack) -> None:
        self.value = value
        self._stack = stack

    async def close(self) -> None:
        """Close it; a failure to close is logged, not raised: nobody could act on it."""
        try:
            await self._stack.aclose()
        except Exception:
            log.exception("builder.close_failed")


async def build(factory: Callable[..., Any] | None, *arguments: Any) -> Built:
    """Call an async function or enter an async context manager.

    Raises:
        BuilderFailed: it raised; says what.
    """
    stack = AsyncExitStack()
    if factory is None:
        return Built(None, stack)
    try:
        value = factory(*arguments)
        if hasattr(value, "__aenter__"):
            value = await stack.enter_async_context(value)
        elif inspect.isawaitable(value):
            value = await value
    except Exception as error:
        raise BuilderFailed(f"{type(error).__name__}: {error}") from error
    return Built(value, stack)

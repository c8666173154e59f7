"""The builders of a workflow's users: built once for each, closed when idle."""

import asyncio
import sys
import time
from dataclasses import dataclass

from sessions_app.builder import Built, PerUserBuilderInfo
from sessions_app.people import Person
from sessions_app.workflows.registry import Offered


def semaphore(max_concurrency: int) -> asyncio.Semaphore:
    """A limit of so many at once; 0 is none."""
    return asyncio.Semaphore(max_concurrency or sys.maxsize)


@dataclass(frozen=True, slots=True)
class _Held:
    info: PerUserBuilderInfo
    built: Built


class BuilderPool:
    """Builders by user. Those of different users are built and closed at the same time; of one
    user there is never more than one alive.
    """

    def __init__(self, offered: Offered) -> None:
        self._workflow = offered.workflow
        self._options = offered.options
        self._max_concurrency = offered.config.max_concurrency
        self._held: dict[str, _Held] = {}
        self._closing: dict[str, Built] = {}

    @property
    def infos(self) -> dict[str, PerUserBuilderInfo]:
        """The live builders, and those being built, by user id."""
        return {user_id: held.info for user_id, held in self._held.items()}

    async def acquire(self, user_id: str, person: Person) -> PerUserBuilderInfo:
        """The user's builder with a reference taken; `release` gives it back.

        All who wait for one build share what it comes to. One that nobody waits for any more is
        given up, so that a build which hangs does not hang the user's next request.

        Raises:
            BuilderFailed: it could not be built; the next request tries anew.
        """
        held = self._held.get(user_id)
        if held is None or held.built.failed:
            held = self._held[user_id] = self._begin(user_id, person)
        # Nothing awaits between finding it and this: nothing can evict it.
        held.info.ref_count += 1
        try:
            held.info.builder = await held.built.ready()
        except BaseException:
            self.release(held.info)
            given_up = not (held.info.ref_count or held.built.is_ready)
            if (given_up or held.built.failed) and self._held.get(user_id) is held:
                self._let_go(user_id).end()
            raise
        held.info.last_activity = time.monotonic()
        return held.info

    def release(self, info: PerUserBuilderInfo) -> None:
        """Give the reference back."""
        info.ref_count -= 1
        info.last_activity = time.monotonic()

    async def evict(self, user_id: str) -> bool:
        """Close the user's builder unless it is in use. False if it is, or if there is none."""
        held = self._held.get(user_id)
        if held is None or held.info.ref_count:
            return False
        await self._let_go(user_id).close()
        return True

    async def evict_idle(self, seconds: float) -> int:
        """Close the builders that nothing used for so many seconds; returns how many."""
        limit = time.monotonic() - seconds
        idle = [
            user_id
            for user_id, held in self._held.items()
            if not held.info.ref_count and held.info.last_activity < limit
        ]
        return sum(await asyncio.gather(*(self.evict(user_id) for user_id in idle)))

    async def close(self) -> None:
        """Close all of them, used or not, and wait for those that are being closed."""
        await asyncio.gather(*(self._let_go(user_id).close() for user_id in list(self._held)))
        if self._closing:
            await asyncio.wait([built.task for built in self._closing.values()])

    def _begin(self, user_id: str, person: Person) -> _Held:
        factory = self._workflow.per_user_builder
        assert factory is not None  # noqa: S101 - only workflows with one have a pool
        built = Built(factory, person, self._options, after=self._closing.get(user_id))
        info = PerUserBuilderInfo(
            builder=None, workflow=self._workflow, semaphore=semaphore(self._max_concurrency)
        )
        return _Held(info, built)

    def _let_go(self, user_id: str) -> Built:
        """Nobody finds it from here on; the user's next one is built when it is closed."""
        built = self._held.pop(user_id).built
        if not built.task.done():
            self._closing[user_id] = built
            built.task.add_done_callback(lambda _: self._forget(user_id, built))
        return built

    def _forget(self, user_id: str, built: Built) -> None:
        if self._closing.get(user_id) is built:
            del self._closing[user_id]

"""The limit of concurrent runs, shared fairly; and a run's slot, released while the run waits."""

import asyncio
import contextvars
import math
import sys
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Mapping
from contextlib import nullcontext
from typing import Literal, Protocol, TypeVar

T = TypeVar("T")

# Empty context for timers: the loop keeps a cancelled timer, with its context, until it is due.
NO_VARIABLES = contextvars.Context()


def _do_nothing() -> None:
    pass


class FairSemaphore(asyncio.Semaphore):
    """A semaphore whose next free slot goes to the waiting user with the fewest slots.

    One user may hold at most `per_user` slots; the anonymous user ("") may hold all.
    """

    def __init__(self, value: int, per_user: int = sys.maxsize) -> None:
        super().__init__(value)
        self._per_user = per_user
        self._held: Counter[str] = Counter()
        # Futures of waiting `acquire` calls, by user. A user who gets a slot moves to the end.
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}
        # Callback after each release of a slot.
        self.on_free: Callable[[], None] = _do_nothing

    @property
    def slots_by_user(self) -> Mapping[str, int]:
        """The number of slots that each user holds."""
        return self._held

    def of(self, user: str) -> "UserSlots":
        """Return the view of the slots for one user."""
        return UserSlots(self, user)

    def locked(self) -> bool:
        """Return whether no slot is free."""
        return self._value == 0

    async def acquire(self, user: str = "") -> Literal[True]:
        """Wait for a slot and take it."""
        if not self._waiting and self._value and self._may_hold_more(user):
            self._value -= 1
            self._held[user] += 1
            return True
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(user, deque()).append(turn)
        self._hand_out()
        try:
            await turn
        except BaseException:  # also GeneratorExit, if the waiting coroutine is closed
            if turn.done() and not turn.cancelled():  # a slot was assigned before the cancellation
                self.release(user)
            turn.cancel()
            raise
        return True

    def release(self, user: str = "") -> None:
        """Release a slot of the user, and assign free slots to waiting users."""
        self._held[user] -= 1
        if not self._held[user]:
            del self._held[user]
        self._value += 1
        self._hand_out()
        self.on_free()

    def _hand_out(self) -> None:
        while self._value:
            users = filter(self._may_hold_more, self._waiting)
            user = min(users, key=self._held.__getitem__, default=None)  # a tie: longest waiting
            if user is None:
                return
            queue = self._waiting.pop(user)
            turn = queue.popleft()
            if queue:
                self._waiting[user] = queue
            if not turn.cancelled():
                self._value -= 1
                self._held[user] += 1
                turn.set_result(None)

    def _may_hold_more(self, user: str) -> bool:
        return not user or self._held[user] < self._per_user


# A limit of concurrent runs; a `nullcontext` means that there is no limit.
Limit = asyncio.Semaphore | nullcontext[None]


def limit_of(runs: int, per_user: int | None = None) -> Limit:
    """Build a limit of concurrent runs in total and per user; 0 means no limit."""
    if not runs and per_user is None:
        return nullcontext()
    return FairSemaphore(runs or sys.maxsize, per_user or sys.maxsize)


class Slots(Protocol):
    """An object from which a run acquires its slot: a semaphore, or one user's view of it."""

    async def acquire(self) -> Literal[True]:
        """Wait for a slot and take it."""

    def release(self) -> None:
        """Give the slot back."""


class _NoLimit:
    async def acquire(self) -> Literal[True]:
        return True

    def release(self) -> None:
        pass


NO_LIMIT = _NoLimit()


class UserSlots:
    """A view of a semaphore that acquires and releases slots for one user."""

    def __init__(self, semaphore: FairSemaphore, user: str) -> None:
        self._semaphore = semaphore
        self._user = user

    async def acquire(self) -> Literal[True]:
        """Wait for a slot and take it."""
        return await self._semaphore.acquire(self._user)

    def release(self) -> None:
        """Give the slot back."""
        self._semaphore.release(self._user)


class Slot:
    """A run's concurrency slot, held while any call or coroutine of the run is active.

    `busy` counts them: gathered calls are active concurrently, and a call that waits is not active.
    """

    def __init__(self, limit: Limit, user: str = "") -> None:
        self._slots: Slots = NO_LIMIT
        if not isinstance(limit, nullcontext):
            self._slots = limit.of(user) if isinstance(limit, FairSemaphore) else limit
        self._held = False
        self._ended = False
        # Number of active calls and coroutines of the run.
        self.busy = 1
        # Lock for concurrent calls of the run: the first call acquires the slot for all of them.
        self._turn = asyncio.Lock()
        # Number of pending `acquire` calls.
        self._pending_acquires = 0
        self._waiting_since = 0.0
        # Seconds (monotonic) that the run spent waiting, excluded from metrics.
        self.waited = 0.0
        # Seconds that the slot may still be held, counted from `_counted_since` (monotonic).
        self._seconds_left = math.inf
        self._counted_since = 0.0
        self._overdue: Callable[[], object] | None = None
        self._clock: asyncio.TimerHandle | None = None

    @property
    def is_awaited(self) -> bool:
        """True while the run waits for a slot, and so cannot do anything."""
        return self._pending_acquires > 0 and not self._held

    async def acquire(self) -> None:
        """Wait for a slot, and hold it until `end`, or while the run is active."""
        self._pending_acquires += 1
        try:
            async with self._turn:
                if not self._held:
                    await self._slots.acquire()
                    self._hold()
        finally:
            self._pending_acquires -= 1

    def _hold(self) -> None:
        if self._ended or self.busy <= 0:  # the run has ended or waits again, and needs no slot
            self._slots.release()
            return
        self._held = True
        self._counted_since = time.monotonic()
        if self._clock is None:
            self._check_time()

    def end(self) -> None:
        """Release the slot at the end of the run; it is not acquired again."""
        self._ended = True
        self._release()
        if self._clock is not None:
            self._clock.cancel()

    async def release_for(self, work: Awaitable[T]) -> T:
        """Release the slot while awaiting `work`, unless another call of the run is active.

        If `work` raises an error, the slot is not acquired again.
        """
        self.add_active(-1)
        try:
            result = await work
        finally:
            self.add_active(1)
        if self.busy > 0 and not self._held:
            await self.acquire()
        return result

    def add_active(self, change: int) -> None:
        """Change the number of active calls and coroutines; when it is 0, release the slot."""
        was_waiting = self.busy <= 0
        self.busy += change
        if was_waiting and self.busy > 0:
            self.waited += time.monotonic() - self._waiting_since
        elif not was_waiting and self.busy <= 0:
            self._waiting_since = time.monotonic()
            self._release()

    def limit(self, seconds: float, overdue: Callable[[], object]) -> None:
        """Call `overdue` once the run has held its slot for `seconds` more, waits not counted."""
        self._seconds_left, self._overdue = seconds, overdue
        self._counted_since = time.monotonic()
        self._check_time()

    def _release(self) -> None:
        if self._held:
            self._held = False
            self._seconds_left -= time.monotonic() - self._counted_since
            self._slots.release()

    def _check_time(self) -> None:
        """Call `overdue` if the slot was held for too long; otherwise schedule the next check."""
        self._clock = None
        if self._overdue is None or not self._held:
            return
        now = time.monotonic()
        self._seconds_left -= now - self._counted_since
        self._counted_since = now
        if self._seconds_left <= 0:
            self._overdue()
        else:
            loop = asyncio.get_running_loop()
            self._clock = loop.call_later(
                self._seconds_left, self._check_time, context=NO_VARIABLES
            )

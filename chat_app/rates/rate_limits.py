"""Rate limits, decided in this process's memory, without a query and without waiting.

In the cluster, a thread also counts in Redis. When Redis reports that all processes together exceed
a rate, this process refuses the next requests. Without Redis each process counts alone.

The memory storage of `limits`, the library that counts in Redis, does not fit: it can take a count
back only in fixed windows, keeps every key with a lock for whole windows, reads the wall clock, and
has a timer thread that scans all keys every 10 ms (50,000 new keys: 23 to 36 µs each, here 7).
"""

import math
import threading
import time
import weakref
from collections.abc import Callable, Iterable
from enum import StrEnum
from functools import cache
from hashlib import sha256
from typing import TYPE_CHECKING

from django.utils.module_loading import import_string
from django.utils.translation import pgettext_lazy

from chat_app.settings import ChatSettings, PerTime, SiteSettings, per_time
from sessions_app.errors import TooMany
from sessions_app.settings import RuntimeSettings

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

# Full buckets are removed above this number, or above twice the number that was left last time.
MAX_BUCKETS = 10_000
ROUNDING_ERROR = 1e-3  # seconds by which rounding may change a computed wait
# Path of a class that is imported only on use, because its module imports a Redis client.
SHARED_COUNTS_CLASS = "chat_app.rates.shared_counts.SharedCounts"

# A limited rate, the user's or address's key in the table, the limit, and the amount to count.
RateBucket = tuple["LimitedRate", str, PerTime, int]


class LimitedRate(StrEnum):
    """A limited rate; the value is the name of its setting.

    An application with further limits defines a subclass with their settings section and wording.
    """

    @property
    def section(self) -> SiteSettings:
        """The section of HITL that contains the setting."""
        raise NotImplementedError

    @property
    def counted_things(self) -> "StrOrPromise":
        """The name of the limited things, for the error message."""
        raise NotImplementedError

    @property
    def per_time(self) -> PerTime | None:
        """The configured rate; None if there is no limit."""
        return per_time(getattr(self.section, self.value))


class Rate(LimitedRate):
    """A rate that a setting of the chat limits."""

    PASSWORDS = "RATE_PASSWORDS"
    PASSWORDS_USER = "RATE_PASSWORDS_USER"
    PASSWORDS_ADDRESS = "RATE_PASSWORDS_ADDRESS"
    GUESTS_ADDRESS = "RATE_GUESTS_ADDRESS"
    MESSAGES_USER = "RATE_MESSAGES_USER"
    MESSAGES_ADDRESS = "RATE_MESSAGES_ADDRESS"
    BYTES_USER = "RATE_BYTES_USER"
    CONVERSATIONS_USER = "RATE_CONVERSATIONS_USER"
    CONVERSATIONS_ADDRESS = "RATE_CONVERSATIONS_ADDRESS"
    CLAIMS_USER = "RATE_CLAIMS_USER"
    API_USER = "RATE_API_USER"
    API_ADDRESS = "RATE_API_ADDRESS"

    @property
    def section(self) -> SiteSettings:
        return ChatSettings.load()

    @property
    def counted_things(self) -> "StrOrPromise":
        return COUNTED_THINGS[self.value.split("_")[1]]


COUNTED_THINGS = {
    "PASSWORDS": pgettext_lazy("hitl", "wrong passwords"),
    "GUESTS": pgettext_lazy("hitl", "new guests"),
    "MESSAGES": pgettext_lazy("hitl", "messages"),
    "BYTES": pgettext_lazy("hitl", "bytes"),
    "CONVERSATIONS": pgettext_lazy("hitl", "new conversations"),
    "CLAIMS": pgettext_lazy("hitl", "changes of claims"),
    "API": pgettext_lazy("hitl", "requests"),
}


class RateLimits:
    """Counts by rate and by subject: a user's id, a name, an address; "" is not counted.

    Each count is a bucket (GCRA): a rate of 300/minute lets a burst of 300 through, then one each
    0.2 s.
    """

    def __init__(self) -> None:
        # The time at which each bucket is full again. A bucket has no other state.
        self._full_at: dict[tuple[LimitedRate, str], float] = {}
        # Reentrant, because garbage collection may return a reservation while this thread holds the
        # lock.
        self._lock = threading.RLock()
        self._max_buckets = MAX_BUCKETS

    def take(self, *rates: tuple[LimitedRate, object], amount: int = 1) -> None:
        """Count an amount under all of these rates, or under none if a rate is exceeded.

        Raises:
            TooMany: a rate is exceeded; the error has the time to wait.
        """
        self.reserve(*rates, amount=amount).keep()

    def reserve(self, *rates: tuple[LimitedRate, object], amount: int = 1) -> "Reservation":
        """Reserve an amount under all of these rates, or under none, until `keep` or `refund`.

        Raises:
            TooMany: as `take`.
        """
        buckets = _limited_rates(rates, amount)
        with self._lock:  # concurrent requests must not miss the reservation
            for bucket in buckets:
                rate = bucket[0]
                if (wait := self._wait(*bucket)) > ROUNDING_ERROR:
                    raise TooMany(rate.counted_things, math.ceil(wait))
            self._count(buckets)
        return Reservation(self, buckets)

    def count(self, *rates: tuple[LimitedRate, object]) -> None:
        """Count one event under all of these rates, even beyond the limit."""
        buckets = _limited_rates(rates)
        self._count(buckets)
        _share_counts(buckets)

    def refund(self, buckets: list[RateBucket]) -> None:
        """Subtract the amounts from these buckets again."""
        with self._lock:
            for rate, key, per, amount in buckets:
                if (rate, key) in self._full_at:
                    self._full_at[rate, key] -= amount * per.seconds / per.amount

    def refuse(self, rate: LimitedRate, key: str, seconds: float) -> None:
        """Refuse a user's or address's requests for `seconds`: other processes used up the rate."""
        per = rate.per_time
        if per is not None:
            with self._lock:
                empty = time.monotonic() + per.seconds - per.seconds / per.amount
                self._full_at[rate, key] = empty + seconds

    def clear(self) -> None:
        """Forget all counts."""
        with self._lock:
            self._full_at.clear()

    def _count(self, buckets: list[RateBucket]) -> None:
        now = time.monotonic()
        with self._lock:
            for rate, key, per, amount in buckets:
                before = max(now, self._full_at.get((rate, key), now))
                after = min(before + amount * per.seconds / per.amount, now + per.seconds)
                self._full_at[rate, key] = max(before, after)
            self._forget(now)

    def _wait(self, rate: LimitedRate, key: str, per: PerTime, amount: int) -> float:
        now = time.monotonic()
        until_full = max(0, self._full_at.get((rate, key), now) - now)
        return until_full + amount * per.seconds / per.amount - per.seconds

    def _forget(self, now: float) -> None:
        if len(self._full_at) > self._max_buckets:
            self._full_at = {key: at for key, at in self._full_at.items() if at > now}
            self._max_buckets = max(MAX_BUCKETS, 2 * len(self._full_at))


class Reservation:
    """An amount reserved under several rates, which counts from the start.

    An unkept reservation is returned by `refund`, or when the object is garbage collected.
    """

    def __init__(self, limits: RateLimits, buckets: list[RateBucket]) -> None:
        self._buckets = buckets
        self.refund = weakref.finalize(self, limits.refund, buckets)
        self.refund.atexit = False

    def keep(self) -> None:
        """Make the reservation permanent, and report it to the other processes."""
        if self.refund.detach() is not None:
            _share_counts(self._buckets)


def _share_counts(buckets: list[RateBucket]) -> None:
    if url := RuntimeSettings.load().REDIS_URL:
        for bucket in buckets:
            _redis_counter(url)(*bucket)


@cache
def _redis_counter(url: str) -> Callable[..., None]:
    count: Callable[..., None] = import_string(SHARED_COUNTS_CLASS)(url, rate_limits.refuse).count
    return count


def _limited_rates(
    rates: Iterable[tuple[LimitedRate, object]], amount: int = 1
) -> list[RateBucket]:
    """Return the buckets of rates with a limit; no amount is above the whole limit."""
    return [
        (rate, _key(subject), per, min(amount, per.amount))
        for rate, subject in rates
        if subject != "" and (per := rate.per_time) is not None
    ]


def _key(subject: object) -> str:
    """Return a subject as a dict key. Texts are hashed: a typed user name may be a password."""
    if not isinstance(subject, str):
        return str(subject)
    return sha256(subject.encode(errors="surrogatepass")).hexdigest()[:32]


rate_limits = RateLimits()
if RuntimeSettings.load().cluster:
    # Import now, because the import is slow and would block the event loop later.
    import_string(SHARED_COUNTS_CLASS)

"""The counts that all processes share in Redis, without any request waiting for Redis.

A separate thread adds up the requests let through in this process, and reports them every 0.1 s:
one call for each rate and each user or address.
"""

import math
import threading
import time
from collections import Counter
from collections.abc import Callable

from limits import RateLimitItemPerSecond
from limits.storage import RedisStorage
from limits.strategies import SlidingWindowCounterRateLimiter
from redis.backoff import NoBackoff
from redis.retry import Retry

from chat_app.settings import PerTime
from sessions_app.logs import Log
from sessions_app.settings import redis_prefix
from sessions_app.storage.vital_threads import vital

log = Log(__name__)

GATHER_TIME = 0.1  # seconds in which counts are added up before they are sent to Redis
PAUSE_AFTER_FAILURE = 1.0  # seconds without calls to Redis after a failure
TIMEOUT = 1.0  # timeout of a call to Redis in seconds


class SharedCounts:
    """A counter for each rate and each user or address, shared over Redis.

    Counts that cannot be sent are dropped: a failure of Redis refuses no request.
    """

    def __init__(self, url: str, refuse: Callable[..., None]) -> None:
        """Start counting in the Redis server at `url`; call `refuse` if a count is too high."""
        self._refuse = refuse
        self._counts: Counter[tuple[str, str, PerTime]] = Counter()
        self._lock = threading.Lock()
        self._has_counts = threading.Event()
        storage = RedisStorage(
            url,
            key_prefix=f"{redis_prefix()}rates",
            socket_timeout=TIMEOUT,
            socket_connect_timeout=TIMEOUT,
            retry=Retry(NoBackoff(), 0),  # type: ignore[arg-type] # passed on to redis-py
        )
        self._limiter = SlidingWindowCounterRateLimiter(storage)
        threading.Thread(target=self._run, name="rates", daemon=True).start()

    def count(self, rate: str, key: str, per: PerTime, amount: int = 1) -> None:
        """Count requests let through in this process."""
        with self._lock:
            self._counts[rate, key, per] += amount
        self._has_counts.set()

    @vital()
    def _run(self) -> None:
        while True:
            self._has_counts.wait()
            time.sleep(GATHER_TIME)
            self._has_counts.clear()
            with self._lock:
                counts, self._counts = self._counts, Counter()
            try:
                for (rate, key, per), amount in counts.items():
                    self._tell(rate, key, per, amount)
            except Exception as error:  # noqa: BLE001 - without Redis, each process counts alone
                log.info("rates.not_shared", error=repr(error))
                time.sleep(PAUSE_AFTER_FAILURE)

    def _tell(self, rate: str, key: str, per: PerTime, amount: int) -> None:
        """Report a count to Redis; if the shared count is too high, refuse requests for a while."""
        item = RateLimitItemPerSecond(per.amount, per.seconds, namespace=rate)
        if self._limiter.hit(item, key, cost=amount):
            return
        reset, remaining = self._limiter.get_window_stats(item, key)
        if remaining:
            self._limiter.hit(item, key, cost=min(remaining, amount))
        # Refuse requests until the window ends. A large excess takes longer than that: as long as
        # the rate needs to allow the same amount.
        owed = (amount - remaining) * per.seconds / per.amount
        self._refuse(rate, key, math.ceil(max(reset - time.time(), owed, 1)))

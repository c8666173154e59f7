"""What all processes have let through, in Redis. Blocks: for the thread of `SharedCounts` alone."""

import math
import time

from limits import RateLimitItemPerSecond
from limits.storage import RedisStorage
from limits.strategies import SlidingWindowCounterRateLimiter
from redis.backoff import NoBackoff
from redis.retry import Retry

from chat_app.rates.rate_limits import Rate, rate_limits
from chat_app.settings import PerTime

TIMEOUT = 1.0  # seconds for one call


class RedisCounts:
    """Counts by rate and key. Its connections are made when they are used."""

    def __init__(self, url: str) -> None:
        storage = RedisStorage(
            url,
            key_prefix="chat.rates",
            socket_timeout=TIMEOUT,
            socket_connect_timeout=TIMEOUT,
            retry=Retry(NoBackoff(), 0),  # type: ignore[arg-type] # it hands on what redis-py takes
        )
        self._limiter = SlidingWindowCounterRateLimiter(storage)

    def tell(self, rate: Rate, key: str, per: PerTime, amount: int) -> None:
        """So many were let through here. If that is too much, refuse the next ones for a while.

        Raises:
            redis.RedisError: it was not told.
        """
        item = RateLimitItemPerSecond(per.amount, per.seconds, namespace=rate.value)
        if self._limiter.hit(item, key, cost=amount):
            return
        reset, left = self._limiter.get_window_stats(item, key)
        if left:
            self._limiter.hit(item, key, cost=min(left, amount))
        # Until one more may come, or until what was too much has been made up for.
        owed = (amount - left) * per.seconds / per.amount
        rate_limits.refuse(rate, key, math.ceil(max(reset - time.time(), owed, 1)))

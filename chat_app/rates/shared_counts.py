"""What all processes have let through, counted in Redis, behind the back of who asks.

A thread of its own adds up what was let through here, and tells Redis every 0.1 s: one call for all
that somebody did in that time, and none of them waits for it.
"""

import threading
import time
from collections import Counter
from functools import cache

import structlog
from django.utils.module_loading import import_string

from chat_app.rates.rate_limits import Counting, Rate
from chat_app.settings import PerTime

log = structlog.get_logger(__name__)

GATHERING = 0.1  # seconds
PAUSE = 1.0  # seconds without a call, once Redis has failed

Key = tuple[Rate, str, PerTime]


class SharedCounts:
    """Counts by rate and key. What Redis cannot be told is not counted there: nobody is refused
    because it is away.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._counts: Counter[Key] = Counter()
        self._lock = threading.Lock()
        self._there = threading.Event()
        threading.Thread(target=self._run, name="rates", daemon=True).start()

    def count(self, rate: Rate, key: str, per: PerTime) -> None:
        """One more was let through here."""
        with self._lock:
            self._counts[rate, key, per] += 1
        self._there.set()

    def _run(self) -> None:
        # Here, as importing it takes 0.1 s, for which the event loop would stand still.
        redis_counts = import_string("chat_app.rates.redis_counts.RedisCounts")(self._url)
        while True:
            self._there.wait()
            time.sleep(GATHERING)
            self._there.clear()
            with self._lock:
                counts, self._counts = self._counts, Counter()
            try:
                for (rate, key, per), amount in counts.items():
                    redis_counts.tell(rate, key, per, amount)
            except Exception as error:  # noqa: BLE001 - whatever Redis raises: each counts alone
                log.info("rates.not_shared", error=repr(error))
                time.sleep(PAUSE)


@cache
def counting(url: str) -> Counting:
    """Counts in this Redis."""
    return SharedCounts(url).count

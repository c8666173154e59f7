"""The limits of what goes on at once in this process, for one user or one address."""

import threading
import weakref
from collections import Counter

from chat_app.settings import ChatSettings
from sessions_app.errors import TooMany

RETRY = 5  # seconds: nobody knows when something ends

Key = tuple[str, object]


class Place:
    """A place under such a limit. It is given back by `leave`, or when nobody has it any more."""

    def __init__(self, keys: tuple[Key, ...]) -> None:
        self.leave = weakref.finalize(self, _give_back, keys)


_places_taken: Counter[Key] = Counter()
# What is collected as garbage may be so while this thread has the lock.
_lock = threading.RLock()


def take_stream(*, user: object, address: str) -> Place:
    """Take a place for a request that waits for a run, or streams its output.

    Raises:
        TooMany: the user or the address has all that it may.
    """
    chat = ChatSettings.load()
    limits: dict[Key, int] = {
        ("user", user): chat.STREAMS_PER_USER,
        ("address", address): chat.STREAMS_PER_ADDRESS,
    }
    return _take("requests that wait at once", limits)


def take_socket(*, user: object = "", address: str = "") -> Place:
    """Take a place for a socket of the user, or from the address, whosever it will be.

    Raises:
        TooMany: the user or the address has all that it may.
    """
    chat = ChatSettings.load()
    limits: dict[Key, int] = {
        ("socket of a user", user): chat.SOCKETS_PER_USER,
        ("socket from", address): chat.SOCKETS_PER_ADDRESS,
    }
    return _take("sockets at once", limits)


def _take(counted_things: str, limits_by_key: dict[Key, int]) -> Place:
    limits = {key: limit for key, limit in limits_by_key.items() if key[1] != ""}  # or nobody's
    with _lock:
        if any(_places_taken.get(key, 0) >= limit for key, limit in limits.items()):
            raise TooMany(counted_things, RETRY)
        _places_taken.update(limits.keys())
    return Place(tuple(limits))


def _give_back(keys: tuple[Key, ...]) -> None:
    with _lock:
        for key in keys:
            _places_taken[key] -= 1
            if not _places_taken[key]:
                del _places_taken[key]

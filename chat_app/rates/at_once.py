"""The limits on concurrent use of this process by one user or one address."""

import threading
import weakref
from collections import Counter

from chat_app.settings import ChatSettings
from sessions_app.errors import TooMany

RETRY_SECONDS = 5  # seconds after which to retry: when a slot becomes free is unknown

Key = tuple[str, object]


class ConnectionSlot:
    """A slot under a limit on concurrent use, released by `release` or garbage collection."""

    def __init__(self, keys: tuple[Key, ...]) -> None:
        self.release = weakref.finalize(self, _release, keys)


_taken_slots: Counter[Key] = Counter()
# Reentrant, because garbage collection may release a slot while this thread holds the lock.
_lock = threading.RLock()


def acquire_stream(*, user: object, address: str) -> ConnectionSlot:
    """Take a slot for a request that waits for a run, or streams its output.

    Raises:
        TooMany: the user or the address has no free slot.
    """
    chat = ChatSettings.load()
    limits: dict[Key, int] = {
        ("user", user): chat.STREAMS_PER_USER,
        ("address", address): chat.STREAMS_PER_ADDRESS,
    }
    return _acquire("requests that wait at once", limits)


def acquire_socket(*, user: object = "", address: str = "") -> ConnectionSlot:
    """Take a slot for a socket of the user, or of a yet unknown user from the address.

    Raises:
        TooMany: the user or the address has no free slot.
    """
    chat = ChatSettings.load()
    limits: dict[Key, int] = {
        ("socket of a user", user): chat.SOCKETS_PER_USER,
        ("socket from", address): chat.SOCKETS_PER_ADDRESS,
    }
    return _acquire("sockets at once", limits)


def _acquire(counted_things: str, limits_by_key: dict[Key, int]) -> ConnectionSlot:
    # An unknown user or address has no limit.
    limits = {key: limit for key, limit in limits_by_key.items() if key[1] != ""}
    with _lock:
        if any(_taken_slots.get(key, 0) >= limit for key, limit in limits.items()):
            raise TooMany(counted_things, RETRY_SECONDS)
        _taken_slots.update(limits.keys())
    return ConnectionSlot(tuple(limits))


def _release(keys: tuple[Key, ...]) -> None:
    with _lock:
        for key in keys:
            _taken_slots[key] -= 1
            if not _taken_slots[key]:
                del _taken_slots[key]

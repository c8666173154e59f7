"""The limits of what a socket may send and be sent. Pure, but for the monotonic clock."""

import time
from collections import deque

WINDOW_EVENTS = 256  # beyond the last acknowledgement of a client that acknowledges
WINDOW_BYTES = 1024 * 1024
WINDOW_PATIENCE = 30.0  # seconds that a full window may wait for an acknowledgement
FRAMES_BURST = 3000  # from a client
FRAMES_RATE = 1500  # per second


class CloseSocket(Exception):
    """The socket ends: by us, with a code and a reason, or (code 0) because the client is gone."""

    def __init__(self, code: int = 0, reason: str = "") -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class ClientGone(Exception):
    """The error that the client has disconnected, so that nothing can be sent."""


class Bucket:
    """A token bucket: `burst` at once, refilled by `rate` a second."""

    __slots__ = ("_at", "_burst", "_rate", "_tokens")

    def __init__(self, *, rate: float, burst: float) -> None:
        self._rate = rate
        self._burst = burst
        self._tokens = burst
        self._at = time.monotonic()

    def take(self, amount: float = 1) -> bool:
        """Take tokens out. False once it is empty."""
        now = time.monotonic()
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate) - amount
        self._at = now
        return self._tokens >= 0


class Window:
    """The bytes by which a feed may run ahead of acknowledgements. Unlimited before the first
    one.
    """

    __slots__ = ("_full_since", "_most", "_size", "_unacknowledged", "acknowledging")

    def __init__(self, most: int = WINDOW_BYTES) -> None:
        self.acknowledging = False
        self._most = most
        self._unacknowledged: deque[tuple[int, int]] = deque()
        self._size = 0
        self._full_since: float | None = None

    @property
    def full(self) -> bool:
        """True while the feed has to pause."""
        return self._full_since is not None

    @property
    def overdue(self) -> bool:
        """True if it has been full for too long."""
        since = self._full_since
        return since is not None and time.monotonic() - since > WINDOW_PATIENCE

    def count_sent(self, sequence: int, size: int) -> None:
        """Count an event that was sent; `size` is the bytes of its frames."""
        if not self.acknowledging:
            return
        self._unacknowledged.append((sequence, size))
        self._size += size
        self._look()

    def acknowledge(self, sequence: int) -> None:
        """Note that the client has all events up to this one."""
        self.acknowledging = True
        while self._unacknowledged and self._unacknowledged[0][0] <= sequence:
            self._size -= self._unacknowledged.popleft()[1]
            self._full_since = None
        self._look()

    def _look(self) -> None:
        if len(self._unacknowledged) >= WINDOW_EVENTS or self._size >= self._most:
            if self._full_since is None:
                self._full_since = time.monotonic()
        else:
            self._full_since = None

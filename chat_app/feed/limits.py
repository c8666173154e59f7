"""The limits of what a socket may send and be sent, and of the memory that all sockets take.

A feed goes on once its client has taken what was sent, so a client that does not read costs one
page at most. The budgets are for many of these.
"""

import time
from collections import Counter, deque
from collections.abc import Callable

from chat_app.settings import ChatSettings
from sessions_app.models.people import UserId

MIB = 1024 * 1024
WINDOW_EVENTS = 256  # beyond the last acknowledgement of a client that acknowledges
WINDOW_BYTES = MIB
WINDOW_PATIENCE = 30.0  # seconds that a full window may wait for an acknowledgement
FRAMES_BURST = 3000  # from a client
FRAMES_RATE = 1500  # per second

Owner = UserId | None  # None: of those who have not said yet who they are


class CloseSocket(Exception):
    """The socket ends: by us, with a code and a reason, or (code 0) because the client is gone."""

    def __init__(self, code: int = 0, reason: str = "") -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class ClientGone(Exception):
    """The error that the client has disconnected, so that nothing can be sent."""


class Bucket:
    """The frames that a client may send: FRAMES_BURST at once, and FRAMES_RATE more a second."""

    __slots__ = ("_at", "_tokens")

    def __init__(self) -> None:
        self._tokens: float = FRAMES_BURST
        self._at = time.monotonic()

    def take(self) -> bool:
        """Take one out. False once it is empty."""
        now = time.monotonic()
        self._tokens = min(FRAMES_BURST, self._tokens + (now - self._at) * FRAMES_RATE) - 1
        self._at = now
        return self._tokens >= 0


class Window:
    """The bytes by which a feed may run ahead of acknowledgements: any, before the first one."""

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


class Backlog:
    """The bytes of all sockets, and of each user's."""

    def __init__(self) -> None:
        # Those that have something, the one that has had for longest first.
        self._shares: dict[Share, None] = {}
        self._by_owner: Counter[Owner] = Counter()
        self._total = 0

    def grow(self, share: "Share", size: int) -> None:
        """Change a share's size, for `Share.grow`."""
        share.size += size
        self._total += size
        self._by_owner[share.owner] += size
        if share.size:
            self._shares.setdefault(share)
        else:
            self._shares.pop(share, None)
        if not self._by_owner[share.owner]:
            del self._by_owner[share.owner]
        elif size > 0:
            self._keep_within_budgets(share.owner)

    def _keep_within_budgets(self, owner: Owner) -> None:
        budgets = ChatSettings.load()
        if self._by_owner[owner] > budgets.UNREAD_MB_PER_USER * MIB:
            self._close_one_of(owner)
        elif self._total > budgets.UNREAD_MB * MIB:
            self._close_one_of(max(self._by_owner, key=self._by_owner.__getitem__))

    def _close_one_of(self, owner: Owner) -> None:
        """Close the owner's socket that has waited longest: clients that read have nothing in
        between. It loses nothing, as it comes back with its cursor.
        """
        next(share for share in self._shares if share.owner == owner).end()


class Share:
    """A socket's share of the memory: data to be read by its client, or to be handled by us."""

    def __init__(self, end: Callable[[CloseSocket], None]) -> None:
        self.owner: Owner = None
        self.size = 0
        self._end = end
        self._ended = False

    def grow(self, size: int) -> None:
        """Add so many bytes, or fewer. Beyond a budget a socket of the user is closed, or, where it
        is that of the process, of the user who has most.
        """
        if not self._ended:
            backlog.grow(self, size)

    def belong_to(self, owner: Owner) -> None:
        """Assign the share to the socket's owner, once that is known."""
        size = self.size
        self.grow(-size)
        self.owner = owner
        self.grow(size)

    def end(self) -> None:
        """Close the socket. What it has is let go in a moment, and counts no more."""
        self.release()
        self._end(CloseSocket(4408, "too much unread; come back"))

    def release(self) -> None:
        """Give everything back: the socket has ended."""
        self.grow(-self.size)
        self._ended = True


backlog = Backlog()

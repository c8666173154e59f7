"""The limits of a socket's incoming and outgoing data, and of the memory of all sockets.

A feed continues once its client has read the sent data, so a client that does not read costs one
page of memory at most. The budgets limit the sum over many such clients.
"""

import time
from collections import Counter, deque
from collections.abc import Callable

from chat_app.settings import ChatSettings
from sessions_app.models.people import UserId

MIB = 1024 * 1024
# Maximum number of unacknowledged events, for clients that send acknowledgements.
WINDOW_EVENTS = 256
WINDOW_BYTES = MIB
WINDOW_PATIENCE = 30.0  # seconds that a full window may wait for an acknowledgement
FRAMES_BURST = 3000  # number of frames that a client may send without a pause
FRAMES_RATE = 1500  # number of further frames that a client may send per second

Owner = UserId | None  # the owner of sockets; None: all sockets before sign-in


class CloseSocket(Exception):
    """The error that ends a socket, with a close code and a reason.

    The code 0 means that the client has closed the socket.
    """

    def __init__(self, code: int = 0, reason: str = "") -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class ClientGone(Exception):
    """The error that the client has disconnected, so that nothing can be sent."""


class Bucket:
    """The rate limit of a client's frames: a burst of FRAMES_BURST, then FRAMES_RATE a second."""

    __slots__ = ("_at", "_tokens")

    def __init__(self) -> None:
        self._tokens: float = FRAMES_BURST
        self._at = time.monotonic()

    def take(self) -> bool:
        """Take one token. Returns False once the bucket is empty."""
        now = time.monotonic()
        self._tokens = min(FRAMES_BURST, self._tokens + (now - self._at) * FRAMES_RATE) - 1
        self._at = now
        return self._tokens >= 0


class Window:
    """The limit on unacknowledged bytes of a feed; unlimited before the first acknowledgement."""

    __slots__ = ("_full_since", "_max_bytes", "_size", "_unacknowledged", "acknowledging")

    def __init__(self, max_bytes: int = WINDOW_BYTES) -> None:
        self.acknowledging = False
        self._max_bytes = max_bytes
        self._unacknowledged: deque[tuple[int, int]] = deque()
        self._size = 0
        self._full_since: float | None = None

    @property
    def full(self) -> bool:
        """True while too many bytes are unacknowledged, so that the feed has to pause."""
        return self._full_since is not None

    @property
    def overdue(self) -> bool:
        """True if the window has been full for too long."""
        since = self._full_since
        return since is not None and time.monotonic() - since > WINDOW_PATIENCE

    def count_sent(self, sequence: int, size: int) -> None:
        """Count an event that was sent; `size` is the bytes of its frames."""
        if not self.acknowledging:
            return
        self._unacknowledged.append((sequence, size))
        self._size += size
        self._note_fullness()

    def acknowledge(self, sequence: int) -> None:
        """Note that the client has all events up to `sequence`."""
        self.acknowledging = True
        while self._unacknowledged and self._unacknowledged[0][0] <= sequence:
            self._size -= self._unacknowledged.popleft()[1]
            self._full_since = None
        self._note_fullness()

    def _note_fullness(self) -> None:
        if len(self._unacknowledged) >= WINDOW_EVENTS or self._size >= self._max_bytes:
            if self._full_since is None:
                self._full_since = time.monotonic()
        else:
            self._full_since = None


class Backlog:
    """The buffered bytes of all sockets, and of each user's sockets."""

    def __init__(self) -> None:
        # Non-empty shares of the sockets; the first has had unread data for longest.
        self._shares: dict[Share, None] = {}
        self._by_owner: Counter[Owner] = Counter()
        self._total = 0

    def grow(self, share: "Share", size: int) -> None:
        """Change a share's size and the sums, within the budgets. Only `Share.grow` calls this."""
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
        """Close the owner's socket that has had unread data for longest.

        The share of a client that reads becomes empty again and again. The client loses no event,
        because it reconnects with its cursor.
        """
        next(share for share in self._shares if share.owner == owner).end()


class Share:
    """A socket's share of the memory: data unread by its client or unhandled by the server."""

    def __init__(self, end: Callable[[CloseSocket], None]) -> None:
        self.owner: Owner = None
        self.size = 0
        self._end = end
        self._ended = False

    def grow(self, size: int) -> None:
        """Add bytes, or remove them if `size` is negative.

        Beyond a user's budget, one of the user's sockets is closed; beyond the process's budget,
        one of the user with the most buffered data.
        """
        if not self._ended:
            backlog.grow(self, size)

    def belong_to(self, owner: Owner) -> None:
        """Assign the share to the socket's owner, once the owner is known."""
        size = self.size
        self.grow(-size)
        self.owner = owner
        self.grow(size)

    def end(self) -> None:
        """Close the socket. Its memory is freed soon, and is not counted any more."""
        self.release()
        self._end(CloseSocket(4408, "too much unread; come back"))

    def release(self) -> None:
        """Return the whole share to the budget, after the end of the socket."""
        self.grow(-self.size)
        self._ended = True


backlog = Backlog()

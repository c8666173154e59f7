"""The memory that this process keeps for its sockets, and its budgets.

A feed goes on once its client has taken what was sent, so a client that does not read costs one
page at most. The budgets are for many of these.
"""

from collections import Counter
from collections.abc import Callable

from chat_app.feed.limits import CloseSocket
from chat_app.settings import ChatSettings
from sessions_app.models.people import UserId

MIB = 1024 * 1024

Owner = UserId | None  # None: of those who have not said yet who they are


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
        """Close the owner's socket that has waited longest; it loses nothing: it comes back with
        its cursor.

        Clients that read have nothing in between.
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
        """Add so many bytes, or fewer.

        Beyond a budget a socket of the user is closed, or, where it is that of the process, of the
        user who has most.
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

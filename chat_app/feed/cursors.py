"""Where a user's last socket on a conversation stood, for a client that keeps no count itself."""

from collections import Counter, OrderedDict
from uuid import UUID

import structlog
from django.db import IntegrityError

from chat_app.models import SocketCursor
from sessions_app.errors import SessionsError
from sessions_app.models.people import UserId
from sessions_app.storage import reads
from sessions_app.storage.transaction import Transaction
from sessions_app.storage.writer import writer

log = structlog.get_logger(__name__)

# A client that comes back at once is served from here, before its cursor is committed.
RECENT = 10_000

_recent: OrderedDict[tuple[UUID, UserId], int] = OrderedDict()
_followers: Counter[tuple[UUID, UserId]] = Counter()


def follow(conversation: UUID, user: UserId) -> bool:
    """A socket of the user follows the conversation now. False if another did already."""
    _followers[conversation, user] += 1
    return _followers[conversation, user] == 1


def unfollow(conversation: UUID, user: UserId) -> bool:
    """It does no more. False if another still does."""
    _followers[conversation, user] -= 1
    if _followers[conversation, user] > 0:
        return False
    del _followers[conversation, user]
    return True


async def keep(conversation: UUID, user: UserId, sequence: int) -> None:
    """Remember how far the socket that closes has come.

    Known to `take` from the moment of the call, durable when this returns.
    """
    _recent[conversation, user] = sequence
    while len(_recent) > RECENT:
        _recent.popitem(last=False)

    def store(tx: Transaction) -> None:
        SocketCursor.objects.bulk_create(
            [SocketCursor(conversation_id=conversation, user_id=user, sequence=sequence)],
            update_conflicts=True,
            unique_fields=["conversation", "user"],
            update_fields=["sequence"],
        )

    try:
        await writer.write(store)
    except (SessionsError, IntegrityError):  # the next one is served as a first, or there is none
        log.warning("cursor.not_kept", conversation=str(conversation))


async def take(conversation: UUID, user: UserId) -> int | None:
    """The kept cursor, which is forgotten: what a socket gets from now on is its own to count."""
    mine = SocketCursor.objects.filter(conversation_id=conversation, user_id=user)
    kept = _recent.pop((conversation, user), None)
    if kept is None:
        kept = await reads.read(mine.values_list("sequence", flat=True).first)
    if kept is not None:
        try:
            # Through the writer also where the row is not there yet: it comes before this.
            await writer.write(lambda tx: mine.delete())
        except SessionsError:
            log.warning("cursor.not_forgotten", conversation=str(conversation))
    return kept

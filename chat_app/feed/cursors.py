"""The log positions of users' last sockets, for clients that do not store their own position.

What the server has sent may never arrive. A client surely has an event once it has acknowledged
the event, or has answered a later ping of the server: see `Feed`.
"""

import asyncio
from collections import Counter
from typing import NamedTuple, cast
from uuid import UUID

from django.db import IntegrityError
from django.db.models import F, Q

from chat_app.models import SocketCursor
from sessions_app.errors import SessionsError
from sessions_app.logs import Log
from sessions_app.models.people import UserId
from sessions_app.storage import reads
from sessions_app.storage.transaction import Transaction
from sessions_app.storage.writer import Lane, writer

log = Log(__name__)


class KeptCursor(NamedTuple):
    """The cursor of a closed socket.

    The client has all events up to `confirmed`, and may have those up to `sent`.
    """

    confirmed: int
    sent: int

    @property
    def is_exact(self) -> bool:
        """True if the client has no other events than those up to `confirmed`."""
        return self.confirmed == self.sent


# Cursors whose write is not committed yet. A client that reconnects to this process immediately
# gets such a cursor; other processes see committed cursors only.
_unstored_cursors: dict[tuple[UUID, UserId], KeptCursor] = {}
# Lane of the database writer: the writes of one lane are committed in the order of submission.
_in_order = Lane()
_followers: Counter[tuple[UUID, UserId]] = Counter()
# Pairs of conversation and user with several open sockets. The cursor of one socket does not tell
# which events the other sockets have sent.
_shared: set[tuple[UUID, UserId]] = set()


def follow(conversation: UUID, user: UserId) -> bool:
    """Count a socket of the user on the conversation. Return False if the user has another one."""
    _followers[conversation, user] += 1
    if _followers[conversation, user] == 1:
        return True
    _shared.add((conversation, user))
    return False


def unfollow(conversation: UUID, user: UserId) -> bool:
    """Remove a socket from the count. Return True if the user had no second one meanwhile."""
    _followers[conversation, user] -= 1
    if _followers[conversation, user] > 0:
        return False
    del _followers[conversation, user]
    was_shared = (conversation, user) in _shared
    _shared.discard((conversation, user))
    return not was_shared


async def keep(conversation: UUID, user: UserId, cursor: KeptCursor) -> None:
    """Store the cursor of a closing socket, unless the stored cursor is further on.

    `consume` finds the cursor as soon as this call begins; the row is committed when the call
    returns.
    """
    positions = {"sequence": cursor.confirmed, "sent": cursor.sent}
    row = SocketCursor(conversation_id=conversation, user_id=user, **positions)
    rows = SocketCursor.objects.filter(conversation_id=conversation, user_id=user)

    def store(tx: Transaction) -> None:
        SocketCursor.objects.bulk_create([row], ignore_conflicts=True)
        rows.filter(Q(sent__lt=cursor.sent) | Q(sent=None)).update(**positions)

    _unstored_cursors[conversation, user] = cursor
    try:
        await writer.write(store, Lane(order_of=_in_order))
    except (SessionsError, IntegrityError):  # not stored: the next socket begins without a cursor
        log.warning("cursor.not_kept", conversation=str(conversation))
    finally:
        if _unstored_cursors.get((conversation, user)) is cursor:
            del _unstored_cursors[conversation, user]


async def read(conversation: UUID, user: UserId) -> KeptCursor | None:
    """Return the stored cursor; None if there is none."""
    return await _read_newest(conversation, user, _unstored_cursors.get((conversation, user)))


async def consume(conversation: UUID, user: UserId) -> KeptCursor | None:
    """Return the stored cursor and delete it, because from now on the new socket has the cursor."""
    cursor = await _read_newest(
        conversation, user, _unstored_cursors.pop((conversation, user), None)
    )
    if cursor is not None:
        rows = SocketCursor.objects.filter(conversation_id=conversation, user_id=user)
        try:
            await writer.write(lambda tx: rows.delete(), Lane(order_of=_in_order))
        except SessionsError:
            log.warning("cursor.not_forgotten", conversation=str(conversation))
        except asyncio.CancelledError:  # the new socket has ended, too
            await keep(conversation, user, cursor)
            raise
    return cursor


async def _read_newest(
    conversation: UUID, user: UserId, unstored: KeptCursor | None
) -> KeptCursor | None:
    rows = SocketCursor.objects.filter(conversation_id=conversation, user_id=user)
    rows = rows.filter(sent__gte=F("sequence"))  # ignore a row of an older version
    row = await reads.read_for(user, rows.values_list("sequence", "sent").first)
    stored = KeptCursor(*cast("tuple[int, int]", row)) if row else None
    if unstored is None or stored is None:
        return unstored or stored
    return max(unstored, stored, key=lambda cursor: cursor.sent)

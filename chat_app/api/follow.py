"""Following one run, as a socket follows a conversation: by a feed, moved by the group's news."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, Collection
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any
from uuid import UUID

import structlog
from django.db import DatabaseError

from chat_app import revocation
from chat_app.api.problems import Failure
from chat_app.feed import Feed
from chat_app.identity import Identity, still_valid
from chat_app.selectors import Opening, log_end
from chat_app.sweeper import INTERVAL, REVALIDATE
from sessions_app import database
from sessions_app.event_log import EventRecord
from sessions_app.notify import LOST, NEWS, Ear, group_name

log = structlog.get_logger(__name__)

GOODBYE = 3.0  # seconds that all have to end when the server stops
RESTARTING = "The server restarts. Send the same request again, with the ids of the response."


@dataclass(frozen=True, slots=True)
class Followed:
    """An event of the run, read by who has all up to `after`. `settled`: see `frames.View`."""

    event: EventRecord
    after: int
    settled: Collection[str]


async def follow(
    *, identity: Identity, conversation: UUID, run: UUID, after: int
) -> AsyncGenerator[Followed | None, None]:
    """The events of a run behind the cursor, in order, and on as they come; None now and then
    while there are none, so that the reader can look after its client.

    The run's end is the reader's to see. Nothing is held before the first item is asked for, nor
    after the generator is closed.

    Raises:
        Failure: it goes on no further: the identity has ended, or the conversation, or this server.
    """
    feed = _RunFeed(conversation, run)
    visit = _Visit(identity)
    async with _Listener(conversation, identity.person.id) as listener:
        await feed.start(Opening(after, await _log_end(conversation, after), [], lost=False))
        while True:
            await visit.check()
            while feed.taken:
                yield feed.taken.popleft()
            heard = await listener.listen()
            if heard is None or heard == LOST:  # there may be news
                feed.known = max(feed.known, await _log_end(conversation, feed.known))
                await feed.advance()
                yield None
            elif heard["type"] == NEWS:
                await feed.news(heard["sequence"], heard["copy"])
            else:
                visit.doubt()


async def _log_end(conversation: UUID, known: int) -> int:
    try:
        last = await database.read(log_end, conversation)
    except DatabaseError as error:  # the next look tries again
        log.warning("follow.read_failed", error=str(error))
        return known
    if last is None:
        raise Failure(404, "invalid_message", "The conversation was deleted.")
    return last


class _RunFeed(Feed):
    """Takes the events of one run instead of sending the frames of all."""

    def __init__(self, conversation: UUID, run: UUID) -> None:
        super().__init__(conversation, "", _send_nothing)
        self.run = run
        self.taken: deque[Followed] = deque()

    async def give(self, event: EventRecord, *, after: int, settled: Collection[str] = ()) -> int:
        """Keep it, for who asks the generator."""
        if event.run == self.run:
            self.taken.append(Followed(event, after, settled))
        return 0


async def _send_nothing(text: str, *, free: bool = False) -> None:
    """A run's feed has no socket."""


class _Visit:
    """Whether the reader may stay: looked up as often as the sweeper does for sockets."""

    def __init__(self, identity: Identity) -> None:
        self._identity = identity
        self._next = time.monotonic() + INTERVAL * REVALIDATE

    def doubt(self) -> None:
        """Something of the identity has changed."""
        self._next = 0.0

    async def check(self) -> None:
        """Raise the failure that ends it, if it is over."""
        if time.monotonic() < self._next:
            return
        try:
            valid = await database.read(still_valid, [self._identity])
        except DatabaseError as error:  # the next look tries again
            log.warning("follow.read_failed", error=str(error))
            return
        self._next = time.monotonic() + INTERVAL * REVALIDATE
        if not valid:
            raise Failure(401, "user_auth_error", "You are not signed in any more.")


class _Listener:
    """Hears the groups of the conversation and of the user, while it is entered.

    What the layer loses, or cannot do, is made up by looking into the database.
    """

    def __init__(self, conversation: UUID, user: int) -> None:
        self._ear = Ear()
        self._groups = (group_name(conversation), revocation.group_of(user))
        self._patience = asyncio.timeout(None)

    async def __aenter__(self) -> "_Listener":
        followers.add(self)
        for group in self._groups:
            await self._ear.join(group)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        followers.remove(self)
        await self._ear.close()

    async def listen(self) -> dict[str, Any] | None:
        """The next message; None if there was none for as long as the sweeper would wait."""
        try:
            async with asyncio.timeout(0 if followers.closing else INTERVAL) as self._patience:
                return await self._ear.hear()
        except TimeoutError:
            if followers.closing:
                raise Failure(503, "unknown_error", RESTARTING, reason="restarting") from None
            return None

    def wake(self) -> None:
        """Listen no longer."""
        if self._patience.when() is not None and not self._patience.expired():
            self._patience.reschedule(0)


class _Followers:
    """All that follow a run in this process."""

    def __init__(self) -> None:
        self.closing = False
        self._listeners: set[_Listener] = set()
        self._all_left = asyncio.Event()

    def add(self, listener: _Listener) -> None:
        """It has begun."""
        self._listeners.add(listener)
        self._all_left.clear()

    def remove(self, listener: _Listener) -> None:
        """It has ended."""
        self._listeners.discard(listener)
        if not self._listeners:
            self._all_left.set()

    async def close_all(self) -> None:
        """Tell the clients that the server stops; they come back to the next."""
        self.closing = True
        for listener in self._listeners:
            listener.wake()
        if self._listeners:
            with suppress(TimeoutError):
                async with asyncio.timeout(GOODBYE):
                    await self._all_left.wait()


followers = _Followers()

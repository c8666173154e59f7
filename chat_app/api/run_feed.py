"""The event feed of one run for an HTTP request, like a socket's feed of a conversation."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection
from dataclasses import dataclass
from uuid import UUID

from chat_app.api.problems import Failure
from chat_app.api.run_selectors import is_within
from chat_app.feed.feed import Feed
from chat_app.feed.limits import CloseSocket, Window
from chat_app.feed.selectors import PAGE_BYTES, FeedStart, size_of
from chat_app.feed.sweeper import pass_news, recheck, sweep_now, sweeper
from chat_app.identity import Identity, revocation
from chat_app.rates import ConnectionSlot
from chat_app.settings import ChatSettings
from sessions_app.models import Event, Run
from sessions_app.models.people import UserId
from sessions_app.notify.groups import LayerMessage, group_name, join_groups
from sessions_app.notify.news import NEWS
from sessions_app.storage import reads
from sessions_app.storage.connections import end_request_thread
from sessions_app.storage.records import EventRecord

RESTART_TEXT = "The server restarts. Send the same request again, with the ids of the response."


@dataclass(frozen=True, slots=True)
class FollowedEvent:
    """An event of the run, or a prompt of a child run.

    The reader already has all events up to `after`. `settled_ids`: see `frames.View`.
    """

    run: UUID
    event: EventRecord
    after: int
    settled_ids: Collection[str]


async def follow(
    identity: Identity, run: Run, *, after: int, slot: ConnectionSlot
) -> AsyncGenerator[FollowedEvent | None, None]:
    """Yield the events of a run after the cursor, in order, and new ones as they are logged.

    Without events, the generator sometimes yields None, so that the reader can check its client.
    The reader must detect the run's end. The generator holds no resources before the first item is
    requested, nor after it is closed.

    Raises:
        Failure: the identity has ended, or the conversation was deleted, or this server stops.
    """
    await end_request_thread()
    feed = _RunFeed(run, identity.person.id)
    reader = _Reader(identity, feed)
    groups = (group_name(feed.conversation), revocation.group_of(identity.person.id))
    sweeper.add(reader)  # from now on, the sweeper finds events whose message was lost
    try:
        async with join_groups(*groups) as reader.receive:
            await feed.acknowledge(after)  # pause the feed from now on if too much is unread
            await feed.start(FeedStart(after, after, [], cursor_lost=False))
            await sweep_now(reader)
            while True:
                if feed.deleted:
                    raise Failure(404, "invalid_message", "The conversation was deleted.")
                if feed.has_unsent:
                    await feed.advance()
                while feed.events:
                    yield feed.events.popleft()
                    if not feed.events:
                        await feed.acknowledge(feed.cursor)
                if await reader.heard_nothing():
                    yield None
    except CloseSocket as error:
        if error.code == 1012:
            raise Failure(503, "unknown_error", RESTART_TEXT, reason="restarting") from None
        raise Failure(401, "user_auth_error", "You are not signed in any more.") from None
    finally:
        slot.release()
        await sweeper.remove(reader)


class _RunFeed(Feed):
    """A feed of one run's events and of its child runs' prompts, which produces no frames."""

    def __init__(self, run: Run, reader: UserId) -> None:
        super().__init__(run.conversation_id, "", _send_nothing, reader, Window(PAGE_BYTES))
        self.run = run.id
        self.events: deque[FollowedEvent] = deque()

    async def give(
        self, event: EventRecord, *, after: int, settled_ids: Collection[str] = ()
    ) -> int:
        """Queue the event for the generator's reader."""
        if event.run != self.run and not await self._is_prompt_within(event):
            return 0
        self.events.append(FollowedEvent(self.run, event, after, settled_ids))
        return size_of(event)

    async def _is_prompt_within(self, event: EventRecord) -> bool:
        if event.type not in (Event.Type.INTERACTION, Event.Type.ASSIGNMENT):
            return False
        if (parent := event.payload.get("parent")) is None:
            return False
        return UUID(parent) == self.run or await reads.read_for(
            self._reader, is_within, UUID(parent), self.run
        )


async def _send_nothing(data: bytes) -> None:
    """Send nothing, because a run's feed has no socket."""


class _Reader:
    """A request that follows a run. The sweeper checks such followers for missed events."""

    awaited_names: Collection[str] = ()
    stalled = False  # always False, because the feed itself limits unread output

    receive: Callable[[], Awaitable[LayerMessage]]

    def __init__(self, identity: Identity, feed: Feed) -> None:
        self.identity = identity
        self.feeds = {feed.conversation: feed}
        self._patience: asyncio.Timeout | None = None
        self._woken = False
        self._end_error: CloseSocket | None = None

    async def heard_nothing(self) -> bool:
        """Handle the next channel-layer message; return True after a timeout or `wake`.

        Raises:
            CloseSocket: `end` was called, or the identity has ended.
        """
        message = None
        seconds = 0 if self._woken else ChatSettings.load().SWEEP_SECONDS
        try:
            async with asyncio.timeout(seconds) as self._patience:
                message = await self.receive()
        except TimeoutError:
            pass
        finally:
            self._patience, self._woken = None, False
        if self._end_error is not None:
            raise self._end_error
        if message is not None:
            await (pass_news(self, message["news"]) if message["type"] == NEWS else recheck(self))
        return message is None

    def wake(self) -> None:
        """Interrupt the wait for messages, so that the log is checked."""
        self._woken = True
        if self._patience is not None and not self._patience.expired():
            self._patience.reschedule(0)

    def end(self, error: CloseSocket) -> None:
        """Stop receiving messages."""
        self._end_error = error
        self.wake()

"""The conversations that a socket follows: a feed for each, from the client's cursor."""

import asyncio
from contextlib import suppress
from uuid import UUID

from channels.consumer import AsyncConsumer
from django.db import DatabaseError

from chat_app.feed import cursors
from chat_app.feed.feed import Feed
from chat_app.feed.limits import ClientGone
from chat_app.feed.selectors import find_conversation, is_behind, read_opening
from chat_app.feed.sweeper import sweeper
from chat_app.identity import Identity
from chat_app.inbox.pending_counts import WaitingPrompts, waiting_counts
from chat_app.peer.plain_feed import PlainFeed
from chat_app.socket.authentication import Authentication
from chat_app.socket.connection import Connection
from chat_app.wire.parsing import Refusal
from chat_app.wire.replies import database_state, waiting_prompts
from sessions_app.errors import NotFound, StorageUnavailable
from sessions_app.logs import Log
from sessions_app.notify.groups import group_name
from sessions_app.storage import reads

log = Log(__name__)

# Maximum conversations that a socket follows; a further one replaces the least recently used.
MAX_FEEDS = 64


class Subscriptions:
    """The feeds of one socket: opens, closes and advances them.

    For the sweeper, this object is the socket's follower.
    """

    def __init__(
        self,
        consumer: AsyncConsumer,
        connection: Connection,
        authentication: Authentication,
    ) -> None:
        self.feeds: dict[UUID, Feed] = {}
        self.awaited_names: set[str] = set()
        self.waiting: WaitingPrompts | None = None
        self.all_waiting = False  # True: report other prompts even if as many wait
        self._sent_counts: WaitingPrompts | None = None
        self._sent_away = False
        self.end = connection.end
        self._wakes = asyncio.Event()
        self._ids: dict[str, UUID] = {}
        self._follow_lock = asyncio.Lock()
        self._consumer = consumer
        self._connection = connection
        self._authentication = authentication
        self._extended = connection.query.extended
        # A client that names its position needs no kept cursor, and must not move that of another.
        self._keeps_cursor = connection.query.last_sequence is None

    @property
    def identity(self) -> Identity | None:
        """The identity of the socket's person."""
        return self._authentication.identity

    @property
    def stalled(self) -> bool:
        """True if the client has not read for too long."""
        return self._connection.stalled

    async def close(self) -> None:
        """Leave all conversations."""
        await sweeper.remove(self)
        await waiting_counts.remove(self)
        for feed in list(self.feeds.values()):
            await self._unfollow(feed)

    def note_pong(self) -> None:
        """Note in all feeds that the client has answered a ping of the server."""
        for feed in self.feeds.values():
            feed.note_pong()

    def wake(self) -> None:
        """Let `watch_wakes` check the subscriptions."""
        self._wakes.set()

    async def watch_wakes(self) -> None:
        """Check all subscriptions after each call of `wake`, until the task is cancelled."""
        while True:
            await self._wakes.wait()
            self._wakes.clear()
            try:
                await self._send_changes()
            # After a database fault, the sweeper tries again.
            except (DatabaseError, StorageUnavailable) as error:
                log.warning("subscriptions.not_looked", error=str(error))

    async def _send_changes(self) -> None:
        """Send any change for which this socket may have been woken.

        Such changes are: lost announcements, the creation of the connection's conversation, a
        deleted conversation, another number of waiting questions, the loss or return of the
        database.
        """
        if self._extended and sweeper.database_away != self._sent_away:
            self._sent_away = sweeper.database_away
            await self._connection.send(database_state(away=self._sent_away))
        if sweeper.database_away:
            return
        if (waiting := self.waiting) is not None:
            visible_waiting = waiting if self.all_waiting else WaitingPrompts(waiting.prompts)
            if visible_waiting != self._sent_counts:
                gone_ids = visible_waiting.gone_since(self._sent_counts)
                self._sent_counts = visible_waiting
                with suppress(ClientGone):
                    await self._connection.send(waiting_prompts(waiting.prompts, gone_ids))
        for feed in list(self.feeds.values()):
            if feed.deleted:
                await self._leave_deleted(feed)
            elif feed.has_unsent:
                await feed.advance()
        for name in list(self.awaited_names):
            await self.follow(name)

    def feed_of(self, conversation_id: str | None) -> Feed:
        """Return the feed of a followed conversation.

        Raises:
            NotFound: the socket does not follow the conversation.
        """
        conversation = self._ids.get(conversation_id or "")
        if conversation is None:
            raise NotFound("This socket follows no such conversation.")
        return self.feeds[conversation]

    def find_feed(self, conversation_id: str) -> Feed | None:
        """Return a conversation's feed, now the most recently used; None if it is not followed."""
        conversation = self._ids.get(conversation_id)
        if conversation is None:
            return None
        feed = self.feeds[conversation] = self.feeds.pop(conversation)
        return feed

    async def follow(self, conversation_id: str, *, after: int | None = None) -> Feed | None:
        """Return the conversation's feed, opened if needed; None without such a conversation."""
        if feed := self.find_feed(conversation_id):
            return feed
        async with self._follow_lock:
            if feed := self.find_feed(conversation_id):  # opened by another task during the wait
                return feed
            owner = self._authentication.person.id
            conversation = await reads.read_for(owner, find_conversation, owner, conversation_id)
            if conversation is None:
                if after:
                    await self._send_cursor_error(conversation_id, after, 0)
                return None
            if len(self.feeds) >= MAX_FEEDS:
                await self._unfollow_oldest()
            # This conversation is new to the client: send all events.
            if conversation_id in self.awaited_names:
                after = 0
            feed = await self._open(conversation, conversation_id, after)
            self.awaited_names.discard(conversation_id)
            return feed

    async def is_behind(self, conversation_id: str) -> bool:
        """Return whether output waits for the client in a conversation, or may come soon."""
        user = self._authentication.person.id
        conversation = await reads.read_for(user, find_conversation, user, conversation_id)
        if conversation is None:
            return False
        kept_cursor = await cursors.read(conversation, user)
        return await reads.read_for(user, is_behind, conversation, kept_cursor)

    async def _unfollow_oldest(self) -> None:
        """Stop following the least recently used conversation.

        An extended client is told, because it may wait for an event of the conversation. A plain
        client is not told, because it would show its user an error.
        """
        feed = next(iter(self.feeds.values()))
        await self._unfollow(feed)
        if not self._extended:
            return
        with suppress(ClientGone):
            await self._send_error(
                feed.conversation_id,
                f"This socket follows {MAX_FEEDS} conversations at most, and this one no more. To "
                "get its events, open a socket for it with last_sequence.",
                followed=False,
                last_sequence=feed.cursor,
            )

    async def _open(self, conversation: UUID, conversation_id: str, after: int | None) -> Feed:
        user = self._authentication.person.id
        of_log = (conversation, conversation_id, self._connection.send_encoded)
        person, link = self._authentication.person, self._authentication.link
        feed = Feed(*of_log, user) if self._extended else PlainFeed(*of_log, person, link)
        self.feeds[conversation] = feed
        self._ids[conversation_id] = conversation
        group, kept_cursor = group_name(conversation), None
        is_only = self._keeps_cursor and cursors.follow(conversation, user)
        try:
            # Join the group before the read of the log, so that no event is missed in between.
            await self._consumer.channel_layer.group_add(group, self._consumer.channel_name)
            if self._keeps_cursor:
                kept_cursor = await cursors.consume(conversation, user)
            opening = await reads.read_for(
                user,
                read_opening,
                conversation,
                after=after,
                kept_cursor=kept_cursor if is_only else None,
            )
        except BaseException:  # also if the client is gone, and this task is cancelled
            if await self._leave(feed) and kept_cursor is not None:
                await cursors.keep(conversation, user, kept_cursor)
            raise
        if opening.cursor_lost and after is not None:
            await self._send_cursor_error(conversation_id, after, opening.last)
        await feed.start(opening)
        return feed

    async def _unfollow(self, feed: Feed) -> None:
        """Stop following a conversation, and keep the cursor for the user's next socket."""
        if await self._leave(feed) and feed.started:
            user = self._authentication.person.id
            await cursors.keep(feed.conversation, user, feed.kept_cursor)

    async def _leave(self, feed: Feed) -> bool:
        """Stop following a conversation; return whether the client's cursor is to be kept.

        It is not if the user has, or had meanwhile, another socket on the conversation.
        """
        del self.feeds[feed.conversation], self._ids[feed.conversation_id]
        user = self._authentication.person.id
        is_only = self._keeps_cursor and cursors.unfollow(feed.conversation, user)
        group = group_name(feed.conversation)
        await self._consumer.channel_layer.group_discard(group, self._consumer.channel_name)
        return is_only

    async def _leave_deleted(self, feed: Feed) -> None:
        await self._leave(feed)
        with suppress(ClientGone):
            await self._send_error(
                feed.conversation_id, "The conversation was deleted.", deleted=True
            )

    async def _send_cursor_error(self, conversation_id: str, after: int, last: int) -> None:
        await self._send_error(
            conversation_id,
            f"The log ends at {last}: there is no last_sequence {after}. You get pending "
            "prompts and new events; reload the conversation to see the rest.",
            last_sequence=last,
            recovered=False,
        )

    async def _send_error(self, conversation_id: str, message: str, **details: object) -> None:
        """Send an error about a conversation, which is not in reply to a frame of the client."""
        refusal = Refusal("invalid_message", message, **details)
        refusal.conversation_id = conversation_id
        await self._connection.refuse(refusal)

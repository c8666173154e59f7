"""A feed: a cursor over one conversation's log, and the only way from the log to a client.

Announcements (messages of the channel layer) may contain events. Events that directly follow the
cursor are sent immediately; after a gap, or without events, the log is read. Lost, doubled or
reordered announcements therefore cost a read, but never an event.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from contextlib import suppress
from uuid import UUID

from django.db import DatabaseError

from chat_app.feed.cursors import KeptCursor
from chat_app.feed.limits import ClientGone, CloseSocket, Window
from chat_app.feed.selectors import FeedStart, read_events
from chat_app.wire.frames import EXTENDED, SINGLE, Frame, Makers, View, encode, event_frames, is_end
from sessions_app.errors import StorageUnavailable
from sessions_app.interactions.sent_prompts import SentPrompt, SentPrompts
from sessions_app.logs import Log
from sessions_app.models import Event
from sessions_app.models.people import UserId
from sessions_app.notify.news import News
from sessions_app.storage import clock, reads
from sessions_app.storage.records import EventRecord
from sessions_app.storage.run_text import text_of

log = Log(__name__)

# Number of events per read of the log. The first reads are small, because events may be large.
FIRST_PAGE = 16
EVENTS_PER_READ = 200
# Number of ended runs that are remembered, so that a stop can be acknowledged after their end.
MOST_ENDED = 64

# Types of events after which an answer is checked by the prompt's row.
PROMPT_UPDATES = (Event.Type.INTERACTION_UPDATE, Event.Type.ASSIGNMENT_UPDATE)

# A function that sends a frame, waits while the client does not read, and raises `ClientGone`.
Send = Callable[[bytes], Awaitable[None]]


class Feed:
    """A cursor in one conversation's log, moved by announcements, clients and the sweeper.

    The client surely has all events up to `confirmed`: those that it has acknowledged, or that were
    sent before the last but one of its pongs. (A browser answers a ping before the page has shown
    the frames that came before the ping, so a page may be one ping behind its pongs.)
    """

    def __init__(
        self,
        conversation: UUID,
        conversation_id: str,
        send: Send,
        reader: UserId,
        window: Window | None = None,
    ) -> None:
        """Create the feed; `reader` is the user of the client."""
        self.conversation = conversation
        self.conversation_id = conversation_id
        self.cursor = 0
        self.confirmed = 0
        self._cursor_at_pong = 0
        self._repeated_up_to = 0  # The client may have events up to this one that are sent again.
        self.heard_up_to = 0  # Highest sequence that a channel-layer message announced.
        self.sent_prompts = SentPrompts()  # the prompts that check short answers of the client
        self.deleted = False  # True if the last check found no visible conversation.
        self._send = send
        self._reader = reader
        # Function that makes the URL of an interaction's page, for clients that get such links.
        self._link: Callable[[str], str] = str
        self._window = window or Window()
        self._lock = asyncio.Lock()
        self.started = False
        self._page = FIRST_PAGE
        self._ended_runs: deque[UUID] = deque(maxlen=MOST_ENDED)
        self._stops: list[tuple[set[UUID], Frame]] = []

    @property
    def has_unsent(self) -> bool:
        """True while the log has events that were not sent."""
        return self.started and self.cursor < self.heard_up_to

    @property
    def kept_cursor(self) -> KeptCursor:
        """The cursor to keep for a client that returns without one."""
        return KeptCursor(self.confirmed, max(self.cursor, self._repeated_up_to))

    async def start(self, opening: FeedStart) -> None:
        """Send the pending prompts, then all events after the cursor. Nothing is sent earlier."""
        async with self._lock:
            self.cursor = self.confirmed = self._cursor_at_pong = opening.cursor
            self._repeated_up_to = opening.repeated_up_to
            self.heard_up_to = max(self.heard_up_to, opening.last)
            self.started = True
            with suppress(ClientGone):
                for event in opening.first_events:
                    await self.give(event, after=0)
            await self._catch_up()

    async def news(self, news: News) -> None:
        """Send the events that a channel-layer message announces."""
        self.heard_up_to = max(self.heard_up_to, news.sequence)
        if self.has_unsent:
            async with self._lock:
                await self._catch_up(news.events)

    async def advance(self) -> None:
        """Send the available events until too many are unacknowledged.

        Raises:
            CloseSocket: the window has been full for too long.
        """
        if self._window.overdue:
            raise CloseSocket(4408, "nothing acknowledged; come back")
        async with self._lock:
            await self._catch_up()

    async def acknowledge(self, sequence: int) -> None:
        """Note that the client has all events up to `sequence`, and continue sending."""
        self._window.acknowledge(sequence)
        self.confirmed = max(self.confirmed, min(sequence, self.cursor))
        if self.has_unsent:
            await self.advance()

    def note_pong(self) -> None:
        """Note that the client has answered a ping, and so has the frames sent before the ping."""
        self.confirmed = max(self.confirmed, self._cursor_at_pong)
        self._cursor_at_pong = self.cursor

    async def send_when_ended(self, runs: Iterable[UUID], frame: Frame) -> None:
        """Send the frame once the last events of all these runs have been sent."""
        pending_runs = set(runs) - set(self._ended_runs)
        if pending_runs:
            self._stops.append((pending_runs, frame))
        else:
            with suppress(ClientGone):
                await self._send(encode(frame))

    async def give(
        self, event: EventRecord, *, after: int, settled_ids: Collection[str] = ()
    ) -> int:
        """Send an event to a client that has all events up to `after`; return the number of bytes
        sent.

        A feed for other output than frames overrides this method.

        Raises:
            ClientGone: the client has disconnected.
        """
        size = await self._send_all(await self._frames(event, after, settled_ids))
        if size and event.type == Event.Type.INTERACTION:
            self._keep_prompt(event, size)
        return size

    def _keep_prompt(self, event: EventRecord, size: int) -> None:
        payload = event.payload
        prompt = SentPrompt(payload["version"], payload["prompt"], size)
        self.sent_prompts.keep(payload["interaction_id"], prompt)

    async def _frames(
        self,
        event: EventRecord,
        after: int,
        settled_ids: Collection[str] = (),
        makers: Makers = EXTENDED,
    ) -> list[Frame]:
        result = ""
        if event.client_format in SINGLE and is_end(event):
            result = await reads.read_for(self._reader, text_of, event.run)
        view = View(self.conversation_id, clock.now(), after, settled_ids, result, self._link)
        return event_frames(event, view, makers)

    async def _send_all(self, frames: Iterable[Frame]) -> int:
        size = 0
        for frame in frames:
            data = encode(frame)
            size += len(data)
            await self._send(data)
        return size

    def _preview(self, events: Iterable[EventRecord]) -> None:
        """Let a subclass inspect events before they are sent."""

    async def _catch_up(self, heard_events: Sequence[EventRecord] = ()) -> None:
        try:
            if self.has_unsent:
                await self._send_heard(heard_events)
            while self.has_unsent and not self._window.full:
                await self._send_page()
        # Only log a failed read, because the sweeper reads again.
        except (DatabaseError, StorageUnavailable) as error:
            log.warning("feed.read_failed", error=str(error))
        except ClientGone:
            log.debug("feed.client_gone", cursor=self.cursor)

    async def _send_heard(self, events: Sequence[EventRecord]) -> None:
        """Send announced events, as long as each directly continues the sent part of the log."""
        self._preview(events)
        for event in events:
            if event.first_sequence > self.cursor + 1 or self._window.full:
                break
            if event.sequence > self.cursor:
                await self._pass(event, ())

    async def _send_page(self) -> None:
        """Send the next events of the log, until too many are unacknowledged."""
        events, settled_ids = await reads.read_for(
            self._reader, read_events, self.conversation, self.cursor, self._page
        )
        if not events:  # stop reading: the conversation was deleted
            self.heard_up_to = self.cursor
        self._preview(events)
        for event in events:
            if self._window.full:
                break
            if event.sequence > self.cursor:
                await self._pass(event, settled_ids)
        # The log has more events; these were so large that fewer were read.
        cut = self.has_unsent and len(events) < self._page
        self._page = max(1, len(events)) if cut else min(EVENTS_PER_READ, self._page * 2)

    async def _pass(self, event: EventRecord, settled_ids: Collection[str]) -> None:
        """Send an event and move the cursor past it."""
        if event.type in PROMPT_UPDATES:
            self.sent_prompts.forget(event.payload["interaction_id"])
        size = await self.give(event, after=self.cursor, settled_ids=settled_ids)
        self.cursor = event.sequence
        if size:  # await no acknowledgement of an event without frames
            self._window.count_sent(event.sequence, size)
        if is_end(event):
            await self._note_end(event.run)

    async def _note_end(self, run: UUID) -> None:
        self._ended_runs.append(run)
        for pending_runs, frame in self._stops:
            pending_runs.discard(run)
            if not pending_runs:
                await self._send(encode(frame))
        self._stops = [stop for stop in self._stops if stop[0]]

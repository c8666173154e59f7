"""A feed: a cursor over one conversation's log, and the one way from there to a client.

News with events that continue the cursor goes out at once; after a gap, or without them, the log is
read. So news that is lost, doubled or out of order costs a read, and never an event.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from uuid import UUID

from django.db import DatabaseError

from chat_app.feed.limits import ClientGone, CloseSocket, Window
from chat_app.feed.selectors import FeedStart, read_events
from chat_app.wire.frames import EXTENDED, SINGLE, Frame, Makers, View, encode, event_frames, is_end
from sessions_app.errors import StorageUnavailable
from sessions_app.logs import Log
from sessions_app.models.people import UserId
from sessions_app.notify.news import News
from sessions_app.storage import reads
from sessions_app.storage.records import EventRecord
from sessions_app.storage.run_text import text_of

log = Log(__name__)

# Events read from the log at once. The first reads are small, as events may be large.
FIRST_PAGE = 16
PAGE = 200
# Runs whose end is remembered, for a stop that is acknowledged when they have ended.
MOST_ENDED = 64


# Sends a frame; waits while the client does not read; raises `ClientGone`.
Send = Callable[[bytes], Awaitable[None]]


class Feed:
    """News, acknowledgements and the sweeper may move it; one at a time."""

    def __init__(
        self,
        conversation: UUID,
        conversation_id: str,
        send: Send,
        reader: UserId,
        window: Window | None = None,
    ) -> None:
        """`reader` is the user whose client gets the events."""
        self.conversation = conversation
        self.conversation_id = conversation_id
        self.cursor = 0
        self.heard_up_to = 0  # the highest sequence heard of
        self.deleted = False  # the conversation, by its owner or for good, at the last look
        self._send = send
        self._reader = reader
        # The address of an interaction's page, for clients that are told it.
        self._link: Callable[[str], str] = str
        self._window = window or Window()
        self._lock = asyncio.Lock()
        self.started = False
        self._page = FIRST_PAGE
        self._ended_runs: deque[UUID] = deque(maxlen=MOST_ENDED)
        self._stops: list[tuple[set[UUID], Frame]] = []

    @property
    def behind(self) -> bool:
        """True while there is more than was sent."""
        return self.started and self.cursor < self.heard_up_to

    async def start(self, opening: FeedStart) -> None:
        """Send what comes first, then all after the cursor. News is only noted until then."""
        async with self._lock:
            self.cursor = opening.cursor
            self.heard_up_to = max(self.heard_up_to, opening.last)
            self.started = True
            with suppress(ClientGone):
                for event in opening.first_events:
                    await self.give(event, after=0)
            await self._catch_up()

    async def news(self, news: News) -> None:
        """Send on: there are more events."""
        self.heard_up_to = max(self.heard_up_to, news.sequence)
        if self.behind:
            async with self._lock:
                await self._catch_up(news.events)

    async def advance(self) -> None:
        """Send as much as there is and the window allows.

        Raises:
            CloseSocket: the window has been full for too long.
        """
        if self._window.overdue:
            raise CloseSocket(4408, "nothing acknowledged; come back")
        async with self._lock:
            await self._catch_up()

    async def acknowledge(self, sequence: int) -> None:
        """Note that the client has all events up to `sequence`, and send on."""
        self._window.acknowledge(sequence)
        if self.behind:
            await self.advance()

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
        """Give an event to the client, who has all up to `after`; returns the bytes.

        A feed whose client takes no frames has another way to do it.

        Raises:
            ClientGone: nobody has taken it.
        """
        return await self._send_all(await self._frames(event, after, settled_ids))

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
        view = View(self.conversation_id, datetime.now(UTC), after, settled_ids, result, self._link)
        return event_frames(event, view, makers)

    async def _send_all(self, frames: Iterable[Frame]) -> int:
        size = 0
        for frame in frames:
            data = encode(frame)
            size += len(data)
            await self._send(data)
        return size

    def _foresee(self, events: Iterable[EventRecord]) -> None:
        """Prepare for the events that come next."""

    async def _catch_up(self, heard_events: Sequence[EventRecord] = ()) -> None:
        try:
            if self.behind:
                await self._send_heard(heard_events)
            while self.behind and not self._window.full:
                await self._send_page()
        except (DatabaseError, StorageUnavailable) as error:  # the sweeper comes back to it
            log.warning("feed.read_failed", error=str(error))
        except ClientGone:
            log.debug("feed.client_gone", cursor=self.cursor)

    async def _send_heard(self, events: Sequence[EventRecord]) -> None:
        """Send the heard events that continue the cursor without a gap."""
        self._foresee(events)
        for event in events:
            if event.first_sequence > self.cursor + 1 or self._window.full:
                break
            if event.sequence > self.cursor:
                await self._pass(event, ())

    async def _send_page(self) -> None:
        """Send the next events of the log, as far as the window goes."""
        events, settled_ids = await reads.read_for(
            self._reader, read_events, self.conversation, self.cursor, self._page
        )
        if not events:  # the conversation was deleted
            self.heard_up_to = self.cursor
        self._foresee(events)
        for event in events:
            if self._window.full:
                break
            if event.sequence > self.cursor:
                await self._pass(event, settled_ids)
        cut = self.behind and len(events) < self._page  # they are large
        self._page = max(1, len(events)) if cut else min(PAGE, self._page * 2)

    async def _pass(self, event: EventRecord, settled_ids: Collection[str]) -> None:
        """Send an event and move the cursor behind it."""
        size = await self.give(event, after=self.cursor, settled_ids=settled_ids)
        self.cursor = event.sequence
        if size:  # else there is nothing that the client could acknowledge
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

"""The life of a socket, whoever is on it and whatever is said; and the reading of its frames."""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from contextlib import suppress
from weakref import WeakValueDictionary

from chat_app.feed.limits import Bucket, ClientGone, CloseSocket, Share
from chat_app.peer.plain_frames import plain_error
from chat_app.rates import Rate, rate_limits
from chat_app.wire.client_messages import ClientMessage, Query
from chat_app.wire.frames import Frame, encode
from chat_app.wire.parsing import MAX_FRAME, Refusal, is_ping, parse
from chat_app.wire.replies import refusal_reply
from sessions_app.json_types import JsonObject
from sessions_app.logs import Log
from sessions_app.models.people import UserId

Receive = Callable[[], Awaitable[JsonObject]]
Send = Callable[[JsonObject], Awaitable[None]]
Work = Callable[[], Coroutine[object, None, None]]
Late = Callable[[str], Coroutine[object, None, None]]

log = Log(__name__)

# Seconds that one frame may wait for the client to read.
STALL_TIME = 30.0
# Bytes that wait with it: the rest of the page it is of, and what the server has in its buffer.
BESIDE_A_FRAME = 128 * 1024
# Seconds that a client has to hear that the socket is closed.
CLOSE_TIME = 5.0
# Bytes of frames that were taken and not yet handled; each counts with what it costs to keep it.
MAX_WAITING = 2 * 1024 * 1024
# Characters of one frame with which the socket ends. (One that is smaller, and still too large as a
# message, gets an error, and the socket stays.) Daphne takes 16 MiB.
LARGEST = 12 * 1024 * 1024
FRAME_COST = 100
# Seconds that a ping waits for its turn. Other messages keep their order.
LATE = 1.0
# What the peer's clients call a conversation that they have not named.
DEFAULT_CONVERSATION = "default"
# Closing codes of every day.
ORDINARY = (1012, 4401)
# Characters of a frame that takes the event loop for some milliseconds. A user who sends many, on
# many sockets, would have nearly all of the loop's time.
LARGE = 16 * 1024
# The next large frame of the user is read after so many times the time that this one took.
REST = 3

_turns: WeakValueDictionary[UserId, asyncio.Lock] = WeakValueDictionary()


class Connection:
    """The connection to a client: frames that wait for their turn, and what is sent, in budgets."""

    def __init__(self, receive: Receive, send: Send, query: Query, late: Late) -> None:
        """`late` gets a ping for which there was no time in its turn."""
        self.query = query
        self._receive = receive
        self._send = send
        self._late = late
        self._tasks = asyncio.TaskGroup()
        self.gone = asyncio.Event()
        self._frames_under_way = 0
        self._moved_at = 0.0
        self._end: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._rate = Bucket()
        # Texts, None for a binary frame, and last that the client has left.
        self._waiting_frames: deque[str | CloseSocket | None] = deque()
        self._frame_event = asyncio.Event()
        self._waiting_size = 0
        self.share = Share(self.end)

    async def live(self, *works: Work) -> CloseSocket:
        """Do several works at once until either side ends the connection; return why."""
        try:
            return await self._until_ended(works)
        except asyncio.CancelledError:  # as Daphne does when it stops
            with suppress(OSError):
                await self._send({"type": "websocket.close", "code": 1012, "reason": "restarting"})
            raise

    async def close(self, error: CloseSocket) -> None:
        """Tell the client why it is closed, unless it is gone."""
        if not error.code:
            return
        write = log.info if error.code in ORDINARY else log.warning
        write("socket.closed", code=error.code, reason=error.reason)
        with suppress(OSError, TimeoutError):
            # A client that floods us may go on until it reads.
            async with asyncio.timeout(CLOSE_TIME):
                await self._send(
                    {"type": "websocket.close", "code": error.code, "reason": error.reason}
                )
                while (await self._receive())["type"] != "websocket.disconnect":
                    pass

    def end(self, error: CloseSocket) -> None:
        """Let `live` return, whatever the connection is doing."""
        if not self._end.done():
            self._end.set_exception(error)
            self._end.exception()  # seen: asyncio logs those that nobody has asked for

    @property
    def stalled(self) -> bool:
        """True if the client has not read for too long."""
        return self._frames_under_way > 0 and time.monotonic() - self._moved_at > STALL_TIME

    async def has_frame(self, within: float) -> bool:
        """Wait so many seconds at most for a frame of the client; return whether one is there."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                await self._frame_arrived()
        return bool(self._waiting_frames)

    async def _frame_arrived(self) -> None:
        while not self._waiting_frames:
            self._frame_event.clear()
            await self._frame_event.wait()

    async def next_frame(self) -> str | None:
        """Return the client's next frame; None for a binary one.

        Raises:
            CloseSocket: the client is gone.
        """
        if self._waiting_frames:
            await asyncio.sleep(0)  # a client that floods us lets the others have their turn
        await self._frame_arrived()
        frame = self._waiting_frames.popleft()
        if isinstance(frame, CloseSocket):
            raise frame
        self._count_waiting(-len(frame or "") - FRAME_COST)
        return frame

    async def pause(self, seconds: float) -> None:
        """Take no frame for so long, or until the client leaves."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.gone.wait()

    async def send(self, frame: Frame) -> None:
        """Send a frame that belongs to no event. What a client said before it left is done too."""
        with suppress(ClientGone):
            await self.send_encoded(encode(frame))

    async def refuse(self, refusal: Refusal) -> None:
        """Send the error of a message that was not carried out. A plain client passes over no error
        that names no conversation.
        """
        refusal.conversation_id = refusal.conversation_id or self.query.conversation_id
        if self.query.extended:
            await self.send(refusal_reply(refusal))
        else:
            refusal.conversation_id = refusal.conversation_id or DEFAULT_CONVERSATION
            await self.send(plain_error(refusal_reply(refusal)))

    async def send_encoded(self, data: bytes) -> None:
        """Send a frame. This waits while the client does not read.

        Raises:
            ClientGone: it will never read this.
        """
        if self.gone.is_set():
            raise ClientGone
        if not self._frames_under_way:
            self._moved_at = time.monotonic()
        self._frames_under_way += 1
        size = len(data) + BESIDE_A_FRAME
        self.share.grow(size)
        try:
            await self._send({"type": "websocket.send", "text": data.decode()})
        except OSError:
            self.gone.set()
            raise ClientGone from None
        finally:
            self.share.grow(-size)
            self._frames_under_way -= 1
            self._moved_at = time.monotonic()

    def take(self, text: str | None, size: int) -> None:
        """Have a frame wait for its turn; None is a binary one.

        Raises:
            CloseSocket: it is too large, or there are too many.
        """
        if size > LARGEST:
            raise CloseSocket(4413, "message too large")
        # Of one that is too large, enough to see that it is.
        text = text and text[: MAX_FRAME + 1]
        self._count_waiting(len(text or "") + FRAME_COST)
        if not self._rate.take() or self._waiting_size > MAX_WAITING:
            raise CloseSocket(4429, "too many messages")
        self._queue(text)
        if text and is_ping(text):
            asyncio.get_running_loop().call_later(LATE, self._answer_late, text)

    def leave(self) -> None:
        """Note that the client is gone. What it said before still counts."""
        self.gone.set()
        self._queue(CloseSocket())

    async def _until_ended(self, works: Iterable[Work]) -> CloseSocket:
        try:
            async with self._tasks:
                for work in (*works, self._await_ending):
                    self._tasks.create_task(work())
        except* CloseSocket as group:
            reason = _first(group)
        return reason

    def _queue(self, frame: str | CloseSocket | None) -> None:
        self._waiting_frames.append(frame)
        self._frame_event.set()

    def _answer_late(self, ping: str) -> None:
        """Answer a ping that still waits for the message before it, which waits for a write."""
        if ping in self._waiting_frames and not (self.gone.is_set() or self._end.done()):
            self._waiting_frames.remove(ping)
            self._count_waiting(-len(ping) - FRAME_COST)
            late_answer = self._late(ping)
            try:
                self._tasks.create_task(late_answer)
            except RuntimeError:  # the socket is ending
                late_answer.close()

    def _count_waiting(self, size: int) -> None:
        self._waiting_size += size
        self.share.grow(size)

    async def _await_ending(self) -> None:
        """Wait for the end in a task of its own: others may wait for a client's reading."""
        await self._end


def _first(group: BaseExceptionGroup[CloseSocket]) -> CloseSocket:
    first = group.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first


async def read_frame(text: str | None, user: UserId) -> ClientMessage:
    """Parse the frame of a user, a large one once it is its turn among the user's.

    Raises:
        TooMany: the user has sent too many bytes.
        Refusal: as `parse`.
    """
    size = len((text or "").encode(errors="surrogatepass"))
    rate_limits.take((Rate.BYTES_USER, user), amount=size)
    if text is None or len(text) < LARGE:
        return parse(text)
    turn = _turns.setdefault(user, asyncio.Lock())
    await turn.acquire()
    began = time.perf_counter()
    try:
        return parse(text)
    finally:
        rest = REST * (time.perf_counter() - began)
        asyncio.get_running_loop().call_later(rest, turn.release)

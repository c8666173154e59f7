"""The connection of a socket, independent of its person and messages; and the frame parser."""

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
Handle = Callable[[str | None], Awaitable[None]]

log = Log(__name__)

# Seconds that one frame may wait for the client to read.
STALL_TIME = 30.0
# Bytes counted with each unsent frame in addition to the frame: for other events that were read
# with the frame's event, and for the server's buffer.
BESIDE_A_FRAME = 128 * 1024
# Seconds in which a client must confirm the close of the socket.
CLOSE_TIME = 5.0
# Maximum bytes of received frames that wait. Each frame counts with its storage overhead.
MAX_WAITING = 2 * 1024 * 1024
# Maximum characters of a frame. A longer frame closes the socket; a shorter one above the message
# limit gets an error, and the socket stays open. Daphne accepts 16 MiB.
MAX_FRAME_LENGTH = 12 * 1024 * 1024
FRAME_COST = 100
# Seconds after which a ping is answered before earlier messages. Other messages are never
# reordered.
PING_DELAY = 1.0
# Name of the conversation in errors for a NAT client that has named none.
DEFAULT_CONVERSATION = "default"
# WebSocket close codes of ordinary ends, which are logged at level info.
ORDINARY = (1012, 4401)
# Characters of a frame whose parsing blocks the event loop for milliseconds. Large frames of a user
# take turns; otherwise, one user's sockets could occupy nearly the whole loop.
LARGE = 16 * 1024
# Pause after a large frame of a user, as a multiple of the time that its parsing took.
REST = 3

_turns: WeakValueDictionary[UserId, asyncio.Lock] = WeakValueDictionary()


class Connection:
    """The connection to a client, with budgets for queued received frames and for unread ones."""

    def __init__(self, receive: Receive, send: Send, query: Query, late: Late) -> None:
        """Create the connection. `late` answers a ping that has waited behind other messages."""
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
        # Received frames: texts, None for a binary frame, and at the end the client's disconnect.
        self._waiting_frames: deque[str | CloseSocket | None] = deque()
        self._frame_event = asyncio.Event()
        self._is_handling = False
        self._waiting_size = 0
        self.share = Share(self.end)

    async def live(self, *works: Work) -> CloseSocket:
        """Run tasks concurrently until the connection ends; return the reason of its end."""
        try:
            return await self._until_ended(works)
        except asyncio.CancelledError:  # Daphne stops, and cancels this task: tell the client
            with suppress(OSError):
                await self._send({"type": "websocket.close", "code": 1012, "reason": "restarting"})
            raise

    async def close(self, error: CloseSocket) -> None:
        """Tell the client why the socket is closed, unless the client is gone."""
        if not error.code:
            return
        write = log.info if error.code in ORDINARY else log.warning
        write("socket.closed", code=error.code, reason=error.reason)
        with suppress(OSError, TimeoutError):
            # Keep receiving until the client confirms the close: a client that floods the server
            # reads nothing while its own frames are stuck.
            async with asyncio.timeout(CLOSE_TIME):
                await self._send(
                    {"type": "websocket.close", "code": error.code, "reason": error.reason}
                )
                while (await self._receive())["type"] != "websocket.disconnect":
                    pass

    def end(self, error: CloseSocket) -> None:
        """End the connection: `live` returns, even while its tasks wait for something else."""
        if not self._end.done():
            self._end.set_exception(error)
            self._end.exception()  # read the exception, or asyncio would log it

    @property
    def stalled(self) -> bool:
        """True if the client has not read for too long."""
        return self._frames_under_way > 0 and time.monotonic() - self._moved_at > STALL_TIME

    async def has_frame(self, within: float) -> bool:
        """Wait at most so many seconds for a frame of the client; return whether there is one."""
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
            await asyncio.sleep(0)  # let other sockets run, even if this client sends a flood
        await self._frame_arrived()
        frame = self._waiting_frames.popleft()
        if isinstance(frame, CloseSocket):
            raise frame
        self._count_waiting(-len(frame or "") - FRAME_COST)
        return frame

    async def handle_next(self, handle: Handle) -> None:
        """Wait for the client's next frame, and handle it.

        Raises:
            CloseSocket: the client is gone.
        """
        frame = await self.next_frame()
        self._is_handling = True
        await handle(frame)
        self._is_handling = False

    async def pause(self, seconds: float) -> None:
        """Pause the reading of frames until the time is over, or the client disconnects."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.gone.wait()

    async def send(self, frame: Frame) -> None:
        """Send a frame that is no event of the log, or drop it if the client is gone.

        The client's last message is carried out in either case.
        """
        with suppress(ClientGone):
            await self.send_encoded(encode(frame))

    async def refuse(self, refusal: Refusal) -> None:
        """Send the error of a message that was not carried out.

        A plain client ignores an error without a conversation's name, so the error always gets one.
        """
        refusal.conversation_id = refusal.conversation_id or self.query.conversation_id
        if self.query.extended:
            await self.send(refusal_reply(refusal))
        else:
            refusal.conversation_id = refusal.conversation_id or DEFAULT_CONVERSATION
            await self.send(plain_error(refusal_reply(refusal)))

    async def send_encoded(self, data: bytes) -> None:
        """Send a frame, and wait while the client does not read.

        Raises:
            ClientGone: the client will never read the frame.
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
        """Queue a received frame; None stands for a binary one.

        Raises:
            CloseSocket: the frame is too large, or there are too many.
        """
        if size > MAX_FRAME_LENGTH:
            raise CloseSocket(4413, "message too large")
        # Keep just enough of an oversized frame for `parse` to refuse it.
        text = text and text[: MAX_FRAME + 1]
        self._count_waiting(len(text or "") + FRAME_COST)
        if not self._rate.take() or self._waiting_size > MAX_WAITING:
            raise CloseSocket(4429, "too many messages")
        self._queue(text)
        if text and is_ping(text):
            asyncio.get_running_loop().call_later(PING_DELAY, self._answer_late, text)

    def disconnect(self) -> None:
        """Note that the client is gone, and end the connection once its frames are handled.

        Without such frames, the connection ends at once: what is read for the client is of no use.
        After a restart of the server, thousands of clients may come, lose patience and come again.
        """
        self.gone.set()
        if self._waiting_frames or self._is_handling:
            self._queue(CloseSocket())
        else:
            self.end(CloseSocket())

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
        """Answer a ping early if it still waits, behind a message whose write is slow."""
        if ping in self._waiting_frames and not (self.gone.is_set() or self._end.done()):
            self._waiting_frames.remove(ping)
            self._count_waiting(-len(ping) - FRAME_COST)
            late_answer = self._late(ping)
            try:
                self._tasks.create_task(late_answer)
            except RuntimeError:  # drop the answer: the socket is ending
                late_answer.close()

    def _count_waiting(self, size: int) -> None:
        self._waiting_size += size
        self.share.grow(size)

    async def _await_ending(self) -> None:
        """Wait for the end in a separate task, as other tasks may wait for the client to read."""
        await self._end


def _first(group: BaseExceptionGroup[CloseSocket]) -> CloseSocket:
    first = group.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first


async def read_frame(text: str | None, user: UserId) -> ClientMessage:
    """Parse the frame of a user; a large one waits for its turn among the user's frames.

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

"""The life of a socket, whatever is said on it."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from itertools import count
from typing import Any

import structlog

from chat_app.allowance import (
    BUDGET_BURST,
    BUDGET_RATE,
    FRAMES_BURST,
    FRAMES_RATE,
    Bucket,
    CloseSocket,
)
from sessions_app.notify import channel_layer

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

log = structlog.get_logger(__name__)

# Seconds after which a channel layer that failed is asked again.
LAYER_PAUSE = 1.0
# Frames after which a socket that floods us lets the others have their turn.
TURN = 16


class SocketConsumer:
    """Three tasks: the client's frames, the channel layer's news, and what others nudge it to do.

    Not channels' AsyncConsumer, which takes each message of every socket through one shared
    database thread (to close old connections), where a slow query stalls them all.
    """

    def __init__(self, scope: Scope, send: Send) -> None:
        self.scope = scope
        self.layer = channel_layer()
        self.channel = ""
        self._send = send
        self._nudges = asyncio.Event()
        self._frames = Bucket(rate=FRAMES_RATE, burst=FRAMES_BURST)
        self._budget = Bucket(rate=BUDGET_RATE, burst=BUDGET_BURST)

    @classmethod
    async def application(cls, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI application: one consumer per socket."""
        await cls(scope, send).serve(receive)

    async def serve(self, receive: Receive) -> None:
        """Serve the socket until it is closed."""
        await receive()
        if not self.admits():
            await self._send({"type": "websocket.close"})  # before accept: HTTP 403
            return
        await self._send({"type": "websocket.accept"})
        self.channel = await self.layer.new_channel()
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._hear_news())
                tasks.create_task(self._heed_nudges())
                await self._take_frames(receive)
        except* CloseSocket as group:
            await self._close(group)
        finally:
            await self.left()

    def admits(self) -> bool:
        """Whether the connection is taken at all."""
        raise NotImplementedError

    async def opened(self) -> None:
        """The socket is open."""
        raise NotImplementedError

    async def received(self, text: str | None) -> None:
        """A frame has come; None for a binary one."""
        raise NotImplementedError

    async def heard(self, message: dict[str, Any]) -> None:
        """The channel layer has a message."""
        raise NotImplementedError

    async def nudged(self) -> None:
        """Somebody called `nudge`."""
        raise NotImplementedError

    async def left(self) -> None:
        """The socket is closed."""
        raise NotImplementedError

    def nudge(self) -> None:
        """Have `nudged` called in a task of the socket."""
        self._nudges.set()

    async def send_text(self, text: str, *, free: bool = False) -> None:
        """Send a text frame; unless it is free, at the cost of the budget for unread bytes.

        Raises:
            CloseSocket: the budget is spent, or the client is gone.
        """
        if not free and not self._budget.take(len(text)):
            raise CloseSocket(4408, "too much unread; come back")
        try:
            await self._send({"type": "websocket.send", "text": text})
        except OSError:  # what servers with backpressure raise for a client that is gone
            raise CloseSocket from None

    async def _take_frames(self, receive: Receive) -> None:
        await self.opened()
        for number in count(1):
            if number % TURN == 0:
                await asyncio.sleep(0)
            message = await receive()
            if message["type"] == "websocket.disconnect":
                raise CloseSocket
            if not self._frames.take():
                raise CloseSocket(4429, "too many messages")
            await self.received(message.get("text"))

    async def _hear_news(self) -> None:
        while True:
            try:
                message = await self.layer.receive(self.channel)
            except Exception as error:  # noqa: BLE001 - whatever the layer raises: it is a hint only
                log.warning("socket.layer_failed", error=repr(error))
                await asyncio.sleep(LAYER_PAUSE)
            else:
                await self.heard(message)

    async def _heed_nudges(self) -> None:
        while True:
            await self._nudges.wait()
            self._nudges.clear()
            await self.nudged()

    async def _close(self, group: BaseExceptionGroup[CloseSocket]) -> None:
        error: BaseException = group
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        if isinstance(error, CloseSocket) and error.code:
            level = logging.INFO if error.code == 4401 else logging.WARNING
            log.log(level, "socket.closed", code=error.code, reason=error.reason)
            close = {"type": "websocket.close", "code": error.code, "reason": error.reason}
            with suppress(OSError):
                await self._send(close)

"""A fix for uvicorn, which keeps a client's unread data for ever after the socket's end."""

import asyncio
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from chat_app.socket.flow_control import keep_little

# Seconds in which a client may read the remaining data after the socket's end.
LAST_READ = 1.0

Protocol: Any = WebSocketsSansIOProtocol

_connection_made = Protocol.connection_made


def install() -> None:
    """Replace methods of uvicorn's protocol, for the whole process."""
    Protocol.connection_made = _made_to_keep_little
    Protocol.on_task_complete = _aborted_in_a_moment


def _made_to_keep_little(self: Any, transport: Any) -> None:
    _connection_made(self, transport)
    keep_little(transport.get_extra_info("socket"))


def _aborted_in_a_moment(self: Any, task: asyncio.Task[None]) -> None:
    """Abort the connection after a short delay.

    The application has ended and uvicorn has closed the transport, which may wait for its client to
    read.
    """
    self.tasks.discard(task)
    self.loop.call_later(LAST_READ, self.transport.abort)

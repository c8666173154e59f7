"""Backpressure for clients that do not read, and pongs, both of which web servers lack.

Daphne buffers all data in memory without a limit, for sockets and for streamed responses. uvicorn
blocks the sender, but keeps the unread data for ever after the socket's end. Under both, the kernel
buffers up to 4 MiB per connection.
"""

import socket
import sys
from collections.abc import Callable
from contextlib import suppress

from django.utils.module_loading import import_string

# Unsent bytes that the kernel buffers beyond those in flight; without this limit, up to 4 MiB per
# connection.
UNSENT = 64 * 1024

# The ASGI extension of a WebSocket's scope whose value is the socket's `Pongs`.
PONGS = "chat_app.pongs"


class Pongs:
    """The answers of a client to the server's pings, of which ASGI does not tell applications.

    Web servers that are not adapted here do not have the extension: then nothing counts as arrived.
    """

    __slots__ = ("heard",)

    def __init__(self) -> None:
        # Called when a pong arrives that answers the server's last ping.
        self.heard: Callable[[], None] = _ignore


def _ignore() -> None:
    """Ignore a pong, because the socket's application does not use the extension."""


def install() -> None:
    """Install flow control in the servers that are used in this process."""
    if "daphne.server" in sys.modules:  # Daphne is imported if it serves this process
        import_string("chat_app.socket.daphne_flow_control.install")()
    with suppress(ImportError):  # uvicorn may not be installed
        import_string("chat_app.socket.uvicorn_flow_control.install")()


def keep_little(connection: socket.socket) -> None:
    """Limit the unsent data in the kernel's buffer."""
    # Ignore errors: the connection may be a Unix socket or TLS, and some systems lack the option.
    with suppress(OSError, AttributeError):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT)

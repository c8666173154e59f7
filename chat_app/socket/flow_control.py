"""Backpressure that web servers lack, for clients that do not read.

Daphne buffers all data in memory without a limit, for sockets and for streamed responses. uvicorn
blocks the sender, but keeps the unread data for ever after the socket's end. Under both, the kernel
buffers up to 4 MiB per connection.
"""

import socket
import sys
from contextlib import suppress

from django.utils.module_loading import import_string

# Unsent bytes that the kernel buffers beyond those in flight; without this limit, up to 4 MiB per
# connection.
UNSENT = 64 * 1024


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

"""Backpressure that web servers lack, for clients that do not read.

Daphne keeps all that it is given in memory, however much that becomes, for a socket and for a
response that is sent in parts. uvicorn has the sender wait, but keeps for ever what such a client
has not read when its socket ends. And under both, the kernel takes up to 4 MiB for each.
"""

import socket
import sys
from contextlib import suppress

from django.utils.module_loading import import_string

# Bytes that the kernel takes beyond what is on its way; else up to 4 MiB for each connection.
UNSENT = 64 * 1024


def install() -> None:
    """Install flow control in the servers that are used in this process."""
    if "daphne.server" in sys.modules:  # it has imported itself where it serves
        import_string("chat_app.socket.daphne_flow_control.install")()
    with suppress(ImportError):  # it is not installed
        import_string("chat_app.socket.uvicorn_flow_control.install")()


def keep_little(connection: socket.socket) -> None:
    """Limit what the kernel keeps of data that is not sent yet."""
    # It may be a Unix socket, or TLS; and not all systems have the option.
    with suppress(OSError, AttributeError):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT)

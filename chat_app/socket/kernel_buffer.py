"""A limit on what the kernel takes of the data that a client does not read."""

import socket
from contextlib import suppress

# Bytes that it takes beyond what is on its way; else up to 4 MiB for each connection.
UNSENT = 64 * 1024


def keep_little(connection: socket.socket) -> None:
    """Have the kernel take little of what is not sent yet."""
    # It may be a Unix socket, or TLS; and not all systems have the option.
    with suppress(OSError, AttributeError):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT)

"""What web servers lack for clients that do not read.

Daphne keeps all that it is given in memory, however much that becomes, for a socket and for a
response that is sent in parts. uvicorn has the sender wait, but keeps for ever what such a client
has not read when its socket ends. And under both, the kernel takes up to 4 MiB for each.
"""

import sys

from django.utils.module_loading import import_string

# By the module that a server has imported before it imports the application it serves.
INSTALLERS = {
    "daphne.server": "chat_app.socket.daphne_flow_control.install",
    "uvicorn.protocols.websockets.websockets_sansio_impl": (
        "chat_app.socket.uvicorn_flow_control.install"
    ),
}


def install() -> None:
    """Have the server do better that serves this process; the others may not be installed."""
    for server, installer in INSTALLERS.items():
        if server in sys.modules:
            import_string(installer)()

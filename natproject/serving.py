"""The flags with which Daphne or uvicorn serves the application.

`python -m natproject.serving [daphne|uvicorn]` runs that server at HOST:PORT.
"""

import os
import sys

from django.conf import settings

# Maximum bytes of a WebSocket message. The application has a much lower limit and refuses a long
# answer with a reason; the server would just drop the connection.
WEBSOCKET_MAX_SIZE = 16 * 1024 * 1024
# A lower limit for uvicorn, because uvicorn buffers incomplete messages, even one without an end.
UVICORN_MAX_SIZE = 1024 * 1024
# Wildcard addresses of a server, and the address at which to reach the server.
EVERY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - names them, binds nothing


def host_in_url(host: str) -> str:
    """Return an address as URLs and the `Host` header write it: IPv6 in brackets."""
    return f"[{host}]" if ":" in host else host


def daphne_arguments(host: str, port: int | str) -> list[str]:
    """Return the arguments of `daphne`, without the program's name.

    There is no access log: its lines would hold query strings with tokens of sign-in links.
    """
    flags = {
        "-v": 0,
        "-b": host,
        "-p": port,
        "--websocket-max-message-size": WEBSOCKET_MAX_SIZE,
        "--websocket-max-frame-size": WEBSOCKET_MAX_SIZE,
        "--ping-interval": 15,
        "--ping-timeout": 15,
        "--websocket_timeout": 43200,
        "--websocket_connect_timeout": 5,
        "--application-close-timeout": 5,
    }
    pairs = [str(part) for pair in flags.items() for part in pair]
    return [*pairs, "--no-server-name", "natproject.asgi:application"]


def uvicorn_arguments(host: str, port: int) -> list[str]:
    """Return the arguments of `uvicorn`, without the program's name; one limit is lower.

    There is no compression: it takes up to 300 KB per socket, and helps to guess secrets.
    """
    flags = {
        "--host": host,
        "--port": port,
        "--log-level": "warning",
        "--lifespan": "on",
        "--ws": "websockets-sansio",
        "--ws-max-size": UVICORN_MAX_SIZE,
        "--ws-ping-interval": 15,
        "--ws-ping-timeout": 15,
        "--ws-per-message-deflate": "false",
        "--timeout-graceful-shutdown": 5,
    }
    pairs = [str(part) for pair in flags.items() for part in pair]
    bare = ["--no-access-log", "--no-server-header", "--no-proxy-headers"]
    return [*pairs, *bare, "natproject.asgi:application"]


SERVERS = {"daphne": daphne_arguments, "uvicorn": uvicorn_arguments}


def main(server: str = "daphne") -> None:
    """Replace this process by the server, which keeps the process id and so gets the signals.

    Raises:
        SystemExit: there is no such server, or a setting is wrong.
    """
    if server not in SERVERS:
        raise SystemExit(f"{server} is not supported. Write one of: {', '.join(SERVERS)}.")
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "natproject.settings")
    arguments = SERVERS[server](settings.HOST, settings.PORT)
    os.execv(sys.executable, [sys.executable, "-m", server, *arguments])  # noqa: S606 - no shell


if __name__ == "__main__":
    main(*sys.argv[1:2])

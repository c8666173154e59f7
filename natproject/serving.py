"""The flags with which Daphne or uvicorn serves the application, in one place.

`python -m natproject.serving [daphne|uvicorn]` becomes such a server at HOST:PORT.
"""

import os
import sys

from django.conf import settings

# Well above what the application accepts, so that an answer that is too long is refused by the
# application with a reason instead of by the server, which just drops the connection.
WEBSOCKET_MAX_SIZE = 16 * 1024 * 1024
# uvicorn keeps all that has come of a message, which may never end.
UVICORN_MAX_SIZE = 1024 * 1024
# What a server listens at, and where to reach it then.
EVERY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - names them, binds nothing


def host_in_url(host: str) -> str:
    """Return an address as it stands in URLs and in the header `Host`: of IPv6 in brackets."""
    return f"[{host}]" if ":" in host else host


def daphne_arguments(host: str, port: int | str) -> list[str]:
    """Return the arguments of `daphne`, without the program's name.

    No access log: its lines hold query strings, and so the tokens of sign-in links.
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
    """Return the arguments of `uvicorn`, without the program's name; but for one limit the same.

    No compression: it takes up to 300 KB a socket, and helps who guesses at secrets in it.
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
    """Become the server, which so keeps this process's id and gets its signals.

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

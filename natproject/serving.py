"""How Daphne is run here: one place for its flags."""

# Well above what the application accepts, so that an answer that is too long is refused by the
# application with a reason instead of by Daphne, which just drops the connection.
WEBSOCKET_MAX_SIZE = 16 * 1024 * 1024


def daphne_arguments(host: str, port: int) -> list[str]:
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

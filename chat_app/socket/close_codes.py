"""Lets Daphne close sockets with 1012, the code of a server that restarts.

It closes by a method of Autobahn that takes only 1000 and the codes of applications; 1012 is
registered for servers (RFC 6455, IANA), and tells clients to come back.
"""

from daphne.ws_protocol import WebSocketProtocol


def allow_registered_codes() -> None:
    """Have Daphne send the code that the application gave."""
    WebSocketProtocol.serverClose = _server_close


def _server_close(self: WebSocketProtocol, code: int | None = None) -> None:
    self.sendCloseFrame(code=1000 if code is None else code)

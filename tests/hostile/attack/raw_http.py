"""Requests as bytes, for what no client would send."""

import http.client
import socket
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPMethod
from typing import Any
from urllib.parse import quote

from tests.http.client import CSRF
from tests.support.server import HOST, Server

FORM = "application/x-www-form-urlencoded"
# The connection was closed before there was an answer.
CLOSED = 0


@dataclass(frozen=True, slots=True)
class Request:
    """A request; header names and values are Latin-1. `door` says what it is thrown at, and what
    is thrown.
    """

    door: str
    path: str
    method: str = HTTPMethod.GET
    headers: Mapping[str, str] | None = None
    body: bytes = b""
    user: str | None = "ann"

    def to_bytes(self, server: Server) -> bytes:
        fields = {"Host": f"{HOST}:{server.port}", "Connection": "close"}
        if self.user is not None:
            fields["Cookie"] = f"sessionid={server.cookies[self.user]}; csrftoken={CSRF}"
            fields["X-CSRFToken"] = CSRF
        if self.method != HTTPMethod.GET:
            fields["Content-Length"] = str(len(self.body))
        fields |= self.headers or {}
        lines = [f"{self.method} {self.path} HTTP/1.1"]
        lines += [f"{name}: {value}" for name, value in fields.items()]
        return "\r\n".join([*lines, "", ""]).encode("latin-1") + self.body


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    media_type: str = ""
    location: str = ""
    text: str = ""


def send(server: Server, request: Request) -> Answer:
    """Send a request on a connection of its own; return the whole answer."""
    with socket.create_connection((HOST, server.port), timeout=30) as connection:
        answer = http.client.HTTPResponse(connection, method=request.method)
        # One that is refused before it is read may have an answer all the same.
        with suppress(OSError):
            connection.sendall(request.to_bytes(server))
        try:
            answer.begin()
            text = answer.read().decode()
        except (http.client.HTTPException, ConnectionError):
            return Answer(CLOSED)
        finally:
            answer.close()
    media_type = (answer.getheader("Content-Type") or "").partition(";")[0]
    return Answer(answer.status, media_type, answer.getheader("Location") or "", text)


def escape(text: Any) -> str:
    """Return a text for a path or a query. Halves of surrogate pairs are escaped as if they were
    UTF-8.
    """
    return quote(str(text), safe="", errors="surrogatepass")


def form(fields: Mapping[str, Any]) -> bytes:
    """Return the body of a form."""
    pairs = (f"{escape(name)}={escape(value)}" for name, value in fields.items())
    return "&".join(pairs).encode()

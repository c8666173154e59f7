"""A proxy that signs people in, like oauth2-proxy, and refuses all requests after the expiry."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus
from socketserver import BaseRequestHandler, ThreadingTCPServer

from tests.support.server import HOST, Server, free_port


class ExpiringProxy(ThreadingTCPServer):
    """The proxy in front of a server. `status` is that of a refusal; 0 while everything passes."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, server: Server) -> None:
        super().__init__((HOST, free_port()), _Handler)
        self.upstream = server.port
        self.status = 0
        self.refused = 0
        self.connections: set[socket.socket] = set()

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.server_address[1]}"

    def expire(self, status: int) -> None:
        """Refuse each new request from now on, and close the open connections."""
        self.status = status
        for connection in list(self.connections):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class _Handler(BaseRequestHandler):
    server: ExpiringProxy
    request: socket.socket

    def handle(self) -> None:
        """Pass data on in both directions, or refuse the first request."""
        self.server.connections.add(self.request)
        if self.server.status:
            self._refuse(HTTPStatus(self.server.status))
            return
        with suppress(OSError), socket.create_connection((HOST, self.server.upstream)) as server:
            threading.Thread(target=_copy, args=(server, self.request), daemon=True).start()
            _copy(self.request, server)

    def finish(self) -> None:
        self.server.connections.discard(self.request)

    def _refuse(self, status: HTTPStatus) -> None:
        with suppress(OSError):
            if not self.request.recv(65536):  # an idle connection that the browser keeps ready
                return
            self.server.refused += 1
            self.request.sendall(
                f"HTTP/1.1 {status.value} {status.phrase}\r\nLocation: https://id.example/\r\n"
                "Content-Length: 0\r\nConnection: close\r\n\r\n".encode()
            )


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    for end in (source, target):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


@contextmanager
def expiring_proxy(server: Server) -> Iterator[ExpiringProxy]:
    """Serve an expiring proxy in front of the server."""
    with ExpiringProxy(server) as proxy:
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        yield proxy
        proxy.expire(HTTPStatus.BAD_GATEWAY)
        proxy.shutdown()

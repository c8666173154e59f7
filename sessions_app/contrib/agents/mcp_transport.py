"""The transports to MCP servers: of what a server sends over a connection, so much is read.

The client of the `mcp` package reads all, in the event loop.
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import cache
from typing import Any, TypeAlias

from anyio import BrokenResourceError, create_memory_object_stream, create_task_group
from httpx2 import AsyncClient, Response, Timeout, create_ssl_context
from mcp import StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.message import SessionMessage
from mcp_types import JSONRPCError, JSONRPCResponse

from sessions_app.contrib.agents import mcp_relay
from sessions_app.contrib.http_bodies import BodyTooLong, limit_body

# The address of a server over HTTP, the command that starts one, or what opens a transport.
Target: TypeAlias = str | StdioServerParameters | Callable[[], AbstractAsyncContextManager[Any]]

# Of all that a server sends over one connection, decompressed: 8 MiB, and in them so many values of
# JSON, each of which takes a microsecond of the event loop.
MAX_BYTES, MAX_VALUES = 8 * 2**20, 100_000
# Of one message: elements that the client makes objects of, each of which takes up to a hundred.
MAX_ELEMENTS = 3_000
# What a client leaves as it is.
FREE = {"structuredContent", "inputSchema", "outputSchema", "_meta", "arguments"}


# Reads the certificates of authorities, once: that blocks for a while.
_read_certificates = cache(create_ssl_context)


class Allowance:
    """The rest of what a server may send over a connection."""

    def __init__(self) -> None:
        self.is_used_up = False
        self._meter = mcp_relay.Meter(MAX_BYTES, MAX_VALUES)

    def take(self, data: bytes) -> None:
        """Take a piece of what the server sends.

        Raises:
            BodyTooLong: that is too much.
        """
        if not self._meter.add(data):
            self.is_used_up = True
            raise BodyTooLong(TOO_MUCH)

    async def limit(self, response: Response) -> None:
        """Read a response only as far as the rest goes; a hook of the HTTP client."""
        response.encoding = "utf-8"  # as the rest is counted
        limit_body(response, self.take)


TOO_MUCH = f"the server sends more than {MAX_BYTES:,} bytes, or {MAX_VALUES:,} values"


@asynccontextmanager
async def connect(
    target: Target, headers: Mapping[str, str], patience: float, allowance: Allowance
) -> AsyncIterator[Any]:
    """Open a transport that ends where the allowance does. `patience`: seconds for an answer."""
    async with _open(target, headers, patience, allowance) as (reads, writes):
        passed_on, messages = create_memory_object_stream[SessionMessage | Exception]()
        async with passed_on, messages, create_task_group() as tasks:
            tasks.start_soon(_pass_on, reads, passed_on, allowance)
            yield messages, writes
            tasks.cancel_scope.cancel()


def _open(
    target: Target, headers: Mapping[str, str], patience: float, allowance: Allowance
) -> AbstractAsyncContextManager[Any]:
    if isinstance(target, str):
        return _open_http(target, headers, patience, allowance)
    if not isinstance(target, StdioServerParameters):
        return target()
    limits = [str(MAX_BYTES), str(MAX_VALUES)]
    relayed = ["-I", "-S", mcp_relay.__file__, *limits, target.command, *target.args]
    return stdio_client(target.model_copy(update={"command": sys.executable, "args": relayed}))


@asynccontextmanager
async def _open_http(
    url: str, headers: Mapping[str, str], patience: float, allowance: Allowance
) -> AsyncIterator[Any]:
    """Open the transport to a URL."""
    certificates = await asyncio.to_thread(_read_certificates)
    hooks = {"response": [allowance.limit]}
    async with (
        AsyncClient(
            headers=headers, timeout=Timeout(patience), verify=certificates, event_hooks=hooks
        ) as client,
        streamable_http_client(url, http_client=client, max_sse_event_size=MAX_BYTES) as streams,
    ):
        yield streams


async def _pass_on(reads: Any, passed_on: Any, allowance: Allowance) -> None:
    """Pass messages on, up to one that is too large: there the connection ends for the client."""
    async with passed_on:
        async for message in reads:
            if isinstance(message, SessionMessage) and _elements(message.message) > MAX_ELEMENTS:
                allowance.is_used_up = True
                return
            try:
                await passed_on.send(message)
            except BrokenResourceError:  # the client is gone: what else the server says is nobody's
                return


def _elements(message: Any) -> int:
    """Return the number of the elements of which the client makes objects."""
    if isinstance(message, JSONRPCResponse):
        return _count(message.result)
    return 0 if isinstance(message, JSONRPCError) else _count(message.params)


def _count(value: Any) -> int:
    if isinstance(value, dict):
        return len(value) + sum(_count(one) for name, one in value.items() if name not in FREE)
    return len(value) + sum(map(_count, value)) if isinstance(value, list) else 0

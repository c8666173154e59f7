"""The transports to MCP servers, with limits on the received data.

The client of the `mcp` package would read everything, in the event loop.
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
from mcp_types import JSONRPCError, JSONRPCResponse, Tool
from pydantic import ValidationError

from sessions_app.contrib.agents import mcp_relay
from sessions_app.contrib.http_bodies import BodyTooLong, limit_body
from sessions_app.logs import Log

log = Log(__name__)

# The way to a server: its URL, a command that starts it, or a function that opens a transport.
Target: TypeAlias = str | StdioServerParameters | Callable[[], AbstractAsyncContextManager[Any]]

# Limits per connection: 8 MiB, decompressed, and a number of JSON values, each of which takes a
# microsecond of the event loop.
MAX_BYTES, MAX_VALUES = 8 * 2**20, 100_000
# Limit per message: parts that the client turns into Python objects, each of which takes up to a
# hundred microseconds.
MAX_ELEMENTS = 3_000
# Fields left out of the count, because the client creates no Python objects for their parts.
FREE = {"structuredContent", "inputSchema", "outputSchema", "_meta", "arguments"}


# A TLS context, made only once because reading the CA certificates blocks for a while.
_read_certificates = cache(create_ssl_context)


class Allowance:
    """The amount of data that a server may still send over a connection."""

    def __init__(self) -> None:
        self.is_used_up = False
        self._meter = mcp_relay.Meter(MAX_BYTES, MAX_VALUES)

    def take(self, data: bytes) -> None:
        """Count a piece of data from the server.

        Raises:
            BodyTooLong: a limit is exceeded.
        """
        if not self._meter.add(data):
            self.is_used_up = True
            raise BodyTooLong(TOO_MUCH)

    async def limit(self, response: Response) -> None:
        """Limit the body of a response to the remaining data; a hook of the HTTP client."""
        response.encoding = "utf-8"  # force UTF-8, whose bytes the meter counts
        limit_body(response, self.take)


TOO_MUCH = f"the server sends more than {MAX_BYTES:,} bytes, or {MAX_VALUES:,} values"


@asynccontextmanager
async def connect(
    target: Target, headers: Mapping[str, str], patience: float, allowance: Allowance
) -> AsyncIterator[Any]:
    """Open a transport that ends with the allowance of data; `patience`: seconds for an answer."""
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
    """Open an HTTP transport to a URL."""
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
    """Pass messages on; close the transport before a message that is too large."""
    async with passed_on:
        async for message in reads:
            if isinstance(message, SessionMessage) and _elements(message.message) > MAX_ELEMENTS:
                allowance.is_used_up = True
                return
            if isinstance(message, SessionMessage):
                _leave_out_malformed_tools(message.message)
            try:
                await passed_on.send(message)
            except BrokenResourceError:  # the client is closed: drop all further messages
                return


def _leave_out_malformed_tools(message: Any) -> None:
    """Remove malformed tools from a list of tools, for which the client would refuse all of it."""
    if not isinstance(message, JSONRPCResponse) or not isinstance(message.result, dict):
        return
    tools = message.result.get("tools")
    if not isinstance(tools, list):
        return
    sound: list[Any] = []
    malformed: list[Any] = []
    for one in tools:
        (sound if _is_sound(one) else malformed).append(one)
    message.result["tools"] = sound
    if malformed:
        names = [one.get("name") if isinstance(one, dict) else one for one in malformed]
        log.warning("mcp.malformed_tools", number=len(names), first=str(names[:10])[:1000])


def _is_sound(tool: Any) -> bool:
    try:
        return bool(Tool.model_validate(tool, by_name=False).input_schema.get("type") == "object")
    except ValidationError:
        return False


def _elements(message: Any) -> int:
    """Return the number of a message's parts that the client turns into Python objects."""
    if isinstance(message, JSONRPCResponse):
        return _count(message.result)
    return 0 if isinstance(message, JSONRPCError) else _count(message.params)


def _count(value: Any) -> int:
    if isinstance(value, dict):
        return len(value) + sum(_count(one) for name, one in value.items() if name not in FREE)
    return len(value) + sum(map(_count, value)) if isinstance(value, list) else 0

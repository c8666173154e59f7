"""Tools of MCP servers for an agent: listed and called in steps, and allowed by people.

It needs `[mcp]`. Each step has a connection of its own, so a call relies on nothing that a server
has in memory: what a crash would take away.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from functools import cache, partial
from importlib.metadata import version
from ssl import SSLContext
from types import MappingProxyType
from typing import Any, Literal, TypeAlias

import structlog
from django.core.exceptions import ImproperlyConfigured
from pydantic import ValidationError

from sessions_app.agents.tool_use import UNKNOWN, call_once
from sessions_app.agents.tools import (
    Policies,
    Policy,
    Tool,
    ToolContext,
    Toolset,
    as_text,
    policy_of,
    schema_tool,
)
from sessions_app.json_types import JsonObject
from sessions_app.workflows import Context, Retry

NEEDS = (
    "sessions_app.agents.mcp needs the package mcp, 2.3 or newer, below 3: "
    "pip install 'django-durable-hitl[mcp]'"
)

try:
    from httpx2 import AsyncClient, Timeout, create_ssl_context
    from mcp import Client, MCPError, StdioServerParameters
    from mcp.client.streamable_http import streamable_http_client
    from mcp_types import (
        CONNECTION_CLOSED,
        REQUEST_TIMEOUT,
        BlobResourceContents,
        CallToolResult,
        ContentBlock,
        EmbeddedResource,
        Implementation,
        PaginatedRequestParams,
        ResourceLink,
        TextContent,
    )
    from mcp_types import Tool as ListedTool
except ImportError as error:
    raise ImproperlyConfigured(NEEDS) from error
if not version("mcp").startswith("2."):
    raise ImproperlyConfigured(NEEDS)

log = structlog.get_logger(__name__)

# The address of a server over HTTP, the command that starts one, or what opens a transport.
Target: TypeAlias = str | StdioServerParameters | Callable[[], AbstractAsyncContextManager[Any]]

CLIENT = Implementation(name="django-durable-hitl", version="1")
# Under it a server finds a key that is the same whenever the call is made again.
CALL_ID = "django-durable-hitl/call_id"
LIST_RETRY = Retry(attempts=2)
# Of what a server says, so much is taken.
MAX_TOOLS = 100
MAX_DESCRIPTION = 4_000
MAX_RESULT = 1_000_000
# Patterns of a server are not searched for in texts: some take for ever.
PATTERNS = ("pattern", "patternProperties")


class McpServer(Toolset):
    """A server of MCP tools, for `Agent(tools=[…])`."""

    def __init__(  # noqa: PLR0913 - a declaration, read like a form
        self,
        name: str,
        server: Target,
        *,
        approvals: Policies = MappingProxyType({}),
        repeatable: Collection[str] = (),
        trusted: bool = False,
        headers: Mapping[str, str] = MappingProxyType({}),
        timeout: float = 60,
        mode: Literal["auto", "legacy"] | str = "auto",
    ) -> None:
        """Declare a server.

        Args:
            name: what its tools' names begin with; people and the model read it.
            server: its URL, the command that starts it, or a function that opens a transport.
            approvals: who allows calls: one policy for all tools, or one by a tool's own name. For
                a tool that is not named the owner of the conversation is asked.
            repeatable: names of tools that do no harm when they are called twice.
            trusted: believe what the server says of its tools: those that only read, or destroy
                nothing, ask nobody, and those that only read, or are idempotent, are repeatable.
            headers: go with each request over HTTP, such as `Authorization`.
            timeout: seconds that an answer of the server may take.
            mode: the era of the protocol, as of `mcp.Client`: by default the server is asked.

        Raises:
            ValueError: the name has characters that a tool's name cannot have.
        """
        if not re.fullmatch(r"[a-zA-Z0-9_-]{1,30}", name):
            raise ValueError(f"an MCP server's name has letters, digits, _ and -, not {name!r}")
        self.name = name
        self._server = server
        self._approvals = approvals
        self._repeatable = repeatable
        self._trusted = trusted
        self._headers = headers
        self._timeout = timeout
        self._mode = mode

    async def tools(self, context: Context) -> list[Tool]:
        """Return the tools that the server lists at the first time; they are recorded.

        Raises:
            StepFailed: it cannot be reached.
        """
        listed: list[JsonObject] = await context.step(
            self._list, name=f"{self.name} tools", retry=LIST_RETRY
        )
        by_name = {one.name: one for one in map(self._tool, reversed(listed))}
        return list(by_name.values())[::-1]

    async def _list(self) -> list[JsonObject]:
        """List the tools, with what is needed of each."""
        listed: list[ListedTool] = []
        async with self._connect() as client:
            cursor: str | None = None
            while len(listed) < MAX_TOOLS:
                page = await client.session.list_tools(params=PaginatedRequestParams(cursor=cursor))
                listed += page.tools
                cursor = page.next_cursor
                if cursor is None:
                    break
        if cursor is not None or len(listed) > MAX_TOOLS:
            log.warning("mcp.tools_left_out", server=self.name, most=MAX_TOOLS)
        return [_record(one) for one in listed[:MAX_TOOLS]]

    def _tool(self, record: JsonObject) -> Tool:
        """Make a tool of what the server has said of it."""
        hints = record["hints"] if self._trusted else {}
        reads = bool(hints.get("readOnlyHint"))
        is_harmless = reads or hints.get("destructiveHint") is False
        own_name = record["name"]
        is_named = isinstance(self._approvals, Policy) or own_name in self._approvals
        policy = None if is_harmless and not is_named else policy_of(self._approvals, own_name)
        call = _Call(self, own_name)
        tool = schema_tool(
            re.sub(r"[^a-zA-Z0-9_-]", "_", f"{self.name}_{own_name}")[:64],
            record["description"],
            record["schema"],
            call.use,
        )
        repeatable = reads or bool(hints.get("idempotentHint")) or own_name in self._repeatable
        call.tool = replace(tool, policy=policy, repeatable=repeatable, in_step=False)
        return call.tool

    @asynccontextmanager
    async def _connect(self) -> AsyncIterator[Client]:
        """Open a connection."""
        server: Any = self._server
        if isinstance(server, str):
            server = self._open_http(server)
        elif callable(server):
            server = server()
        async with Client(
            server, mode=self._mode, read_timeout_seconds=self._timeout, client_info=CLIENT
        ) as client:
            yield client

    @asynccontextmanager
    async def _open_http(self, url: str) -> AsyncIterator[Any]:
        """Open the transport to a URL."""
        certificates = await asyncio.to_thread(_read_certificates)
        async with (
            AsyncClient(
                headers=self._headers, timeout=Timeout(self._timeout), verify=certificates
            ) as http_client,
            streamable_http_client(url, http_client=http_client) as streams,
        ):
            yield streams

    async def call(self, tool: str, arguments: JsonObject, call_id: str) -> str:
        """Call a tool, and return its result or what became of it, in words."""
        outcome, is_sent = "", False
        try:
            async with self._connect() as client:
                await client.list_tools()  # by which the client checks the result
                is_sent = True
                outcome = await self._request(client, tool, arguments, call_id)
        except Exception as error:
            log.warning("mcp.lost", server=self.name, tool=tool, exc_info=error)
            if not is_sent:
                return f"The server {self.name} cannot be reached. Nothing was done."
        return outcome or UNKNOWN

    async def _request(self, client: Client, tool: str, arguments: JsonObject, call_id: str) -> str:
        meta: Any = {CALL_ID: call_id}
        try:
            result = await client.session.call_tool(tool, arguments, meta=meta)
        except MCPError as error:
            if error.code in (CONNECTION_CLOSED, REQUEST_TIMEOUT):
                return UNKNOWN
            return f"The server {self.name} refuses: {error.message[:MAX_DESCRIPTION]}"
        except (RuntimeError, ValidationError) as error:
            log.warning("mcp.broken_promise", server=self.name, tool=tool, problem=str(error))
            return "It was called, but the answer is not what the server had promised."
        return _result_text(result)


class _Call:
    """The calls of a tool, which are steps of their own."""

    tool: Tool

    def __init__(self, server: McpServer, name: str) -> None:
        self._server = server
        self._name = name

    async def use(self, arguments: JsonObject, tool_context: ToolContext) -> str:
        """Call the tool."""
        context, tool = Context.get(), self.tool
        # In a `partial`, as a tool may have any name.
        function: Any = partial(self._server.call, self._name, arguments, tool_context.call_id)
        step = partial(
            context.step,
            function,
            name=tool.name,
            title=tool.title(arguments),
            once=not tool.repeatable,
        )
        return await call_once(context, tool.policy, tool.describe(arguments), step)


@cache
def _read_certificates() -> SSLContext:
    """Read the certificates of authorities, once: that blocks for a while."""
    return create_ssl_context()


def _record(tool: ListedTool) -> JsonObject:
    """Return what is kept of a tool that a server lists."""
    hints = (
        tool.annotations.model_dump(by_alias=True, exclude_none=True) if tool.annotations else {}
    )
    return {
        "name": tool.name,
        "description": (tool.description or tool.title or "")[:MAX_DESCRIPTION],
        "schema": _without_patterns(tool.input_schema),
        "hints": hints,
    }


def _without_patterns(schema: Any) -> Any:
    if isinstance(schema, Mapping):
        return {
            name: _without_patterns(value) for name, value in schema.items() if name not in PATTERNS
        }
    return [_without_patterns(one) for one in schema] if isinstance(schema, list) else schema


def _result_text(result: CallToolResult) -> str:
    """Return the result of a call as the model reads it."""
    parts = [_content_text(one) for one in result.content]
    if not parts and result.structured_content is not None:
        parts = [as_text(result.structured_content)]
    text = "\n".join(parts)[:MAX_RESULT] or "(nothing)"
    return f"It failed: {text}" if result.is_error else text


def _content_text(content: ContentBlock) -> str:
    if isinstance(content, TextContent):
        return content.text
    if isinstance(content, ResourceLink):
        return f"[{content.name}: {content.uri}]"
    if not isinstance(content, EmbeddedResource):
        return f"[{content.type}, {content.mime_type}, which cannot be shown]"
    resource = content.resource
    if isinstance(resource, BlobResourceContents):
        return f"[{resource.uri}, {resource.mime_type}, which cannot be shown]"
    return resource.text

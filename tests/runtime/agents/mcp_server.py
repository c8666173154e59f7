"""A server of MCP tools in a process of its own; each call appends a line to its log.

It is started by a command, and speaks over its pipes, or with a port over HTTP.
"""

import os
import sys
import time
from pathlib import Path
from typing import Annotated

from mcp.server import MCPServer
from mcp.server.mcpserver import Image
from mcp_types import ToolAnnotations
from pydantic import Field

server = MCPServer("weather")


def log(line: str) -> None:
    """Append a line: what is done outside."""
    with Path(sys.argv[1]).open("a") as file:
        file.write(f"{line}\n")


@server.tool(annotations=ToolAnnotations(read_only_hint=True))
def forecast(town: str) -> str:
    """Forecast the weather of a town."""
    log(f"forecast {town}")
    return f"It rains in {town}."


@server.tool(annotations=ToolAnnotations(destructive_hint=True))
def forget(town: str) -> str:
    """Forget a town."""
    log(f"forget {town}")
    return f"{town} is forgotten."


@server.tool(name="fail.loudly")
def fail(code: Annotated[str, Field(pattern="^(a+)+$")]) -> str:
    """Fail."""
    raise ValueError(code)


@server.tool()
def look():  # type: ignore[no-untyped-def] # with an annotation it has a schema
    """Look out of the window."""
    return ["Clouds.", Image(data=b"png", format="png")]


@server.tool()
def die() -> str:
    """Take the process away in the middle of the call."""
    log("die")
    os._exit(1)


@server.tool()
def sleep(seconds: float) -> str:
    """Take some time."""
    time.sleep(seconds)
    return "Slept."


if __name__ == "__main__":
    if sys.argv[2:]:
        server.run("streamable-http", port=int(sys.argv[2]))
    else:
        server.run("stdio")

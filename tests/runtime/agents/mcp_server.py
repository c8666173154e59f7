"""A server of MCP tools in a process of its own; each call appends a line to its log."""

import sys
from pathlib import Path

from mcp.server import MCPServer

server = MCPServer("weather")


@server.tool()
def forecast(town: str) -> str:
    """Forecast the weather of a town."""
    with Path(sys.argv[1]).open("a") as log:
        log.write(f"forecast {town}\n")
    return f"It rains in {town}."


if __name__ == "__main__":
    server.run("stdio")

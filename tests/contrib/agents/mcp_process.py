"""Processes of the MCP server of the tests."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mcp import StdioServerParameters

from natproject.settings.env import ROOT
from tests.support.polling import until

COMMAND = ["-m", "tests.contrib.agents.mcp_server"]


@contextmanager
def serving(log: Path, port: int) -> Iterator[None]:
    """Serve over HTTP in a process of its own."""
    process = subprocess.Popen([sys.executable, *COMMAND, str(log), str(port)], cwd=ROOT)
    try:
        until(lambda: is_open(port))
        yield
    finally:
        process.kill()
        process.wait()


def command(log: Path) -> StdioServerParameters:
    """Return the command that starts the server for one connection."""
    return StdioServerParameters(command=sys.executable, args=[*COMMAND, str(log)], cwd=str(ROOT))


def url_of(port: int) -> str:
    return f"http://127.0.0.1:{port}/mcp"


def is_open(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0

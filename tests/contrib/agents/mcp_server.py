"""A server of MCP tools in a process of its own; each call appends a line to its log.

It is started by a command, and speaks over its pipes, or with a port over HTTP.
"""

import asyncio
import json
import os
import sys
import time
from pathlib import Path
from typing import Annotated

from mcp import UrlElicitationRequiredError
from mcp.server import MCPServer
from mcp.server.mcpserver import (
    AcceptedElicitation,
    Context,
    Elicit,
    ElicitationResult,
    Image,
    Resolve,
)
from mcp_types import ElicitRequestURLParams, ToolAnnotations
from pydantic import BaseModel, Field

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


@server.tool()
def refund(order: int, euro: int = 500) -> str:
    """Pay back."""
    log(f"refund {json.dumps({'order': order, 'euro': euro})}")
    return "paid"


@server.tool(name="fail.loudly")
def fail(code: Annotated[str, Field(pattern="^(a+)+$")]) -> str:
    """Fail."""
    raise ValueError(code)


@server.tool()
def look():  # type: ignore[no-untyped-def] # with an annotation it has a schema
    """Look out of the window."""
    return ["Clouds.", Image(data=b"png", format="png")]


class Traveller(BaseModel):
    """The facts that the server needs before it books."""

    name: str = Field(min_length=2)
    window: bool = False


async def traveller(town: str) -> Elicit[Traveller]:
    """Ask who travels, in the way of the era that the client speaks."""
    log(f"asks for {town}")
    return Elicit(f"Who goes to {town}?", Traveller)


@server.tool()
def book(town: str, traveller: Annotated[ElicitationResult[Traveller], Resolve(traveller)]) -> str:
    """Book a journey."""
    if not isinstance(traveller, AcceptedElicitation):
        return f"Nothing is booked: {traveller.action}."
    log(f"book {town} {traveller.data.name}")
    seat = "at the window" if traveller.data.window else "anywhere"
    return f"{traveller.data.name} goes to {town}, {seat}."


async def companion(town: str) -> Elicit[Traveller]:
    """Ask the same once more."""
    return await traveller(town)


@server.tool()
def pair(
    town: str,
    first: Annotated[ElicitationResult[Traveller], Resolve(traveller)],
    second: Annotated[ElicitationResult[Traveller], Resolve(companion)],
) -> str:
    """Book a journey of two."""
    both = (first, second)
    return " and ".join(one.data.name for one in both if isinstance(one, AcceptedElicitation))


@server.tool()
def pay(context: Context) -> str:
    """Pay, once the person has been to a page."""
    visited = Path(sys.argv[1]).read_text().count("pay")
    log("pay")
    if not visited:
        page = ElicitRequestURLParams(
            message="Sign in at the bank.", url="https://bank.example/in?x=1", elicitation_id="e1"
        )
        raise UrlElicitationRequiredError([page])
    return "Paid."


@server.tool()
async def guess(context: Context) -> str:
    """Want the client's model to answer."""
    await context.session.list_roots()
    return "Guessed."


@server.tool()
def die() -> str:
    """Take the process away in the middle of the call."""
    log("die")
    os._exit(1)


@server.tool()
async def stay(town: str, seconds: float) -> str:
    """Stay in a town for some time."""
    log(f"stay {town} begins")
    await asyncio.sleep(seconds)
    return f"{town} is seen."


@server.tool()
def sleep(seconds: float) -> str:
    """Take some time."""
    log("sleep")
    time.sleep(seconds)
    return "Slept."


if __name__ == "__main__":
    if sys.argv[2:]:
        server.run("streamable-http", port=int(sys.argv[2]))
    else:
        server.run("stdio")

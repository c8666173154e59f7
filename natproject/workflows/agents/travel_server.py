"""An MCP server in a separate process, which asks for the traveller before booking."""

from typing import Annotated

from mcp.server import MCPServer
from mcp.server.mcpserver import Elicit, Resolve
from mcp_types import ToolAnnotations
from pydantic import BaseModel, Field

server = MCPServer("travel")


class Traveller(BaseModel):
    """The person who travels."""

    name: str = Field(min_length=2)
    window: bool = Field(False, title="At the window")


async def ask(town: str) -> Elicit[Traveller]:
    """Ask the person by a form."""
    return Elicit(f"Who goes to {town}?", Traveller)


@server.tool(annotations=ToolAnnotations(read_only_hint=True))
def find_trains(town: str) -> str:
    """Find the trains to a town."""
    return "8:15, 10:15"


@server.tool()
def book(town: str, train: str, traveller: Annotated[Traveller, Resolve(ask)]) -> str:
    """Book a train."""
    return f"{traveller.name} is booked to {town} at {train}."


if __name__ == "__main__":
    server.run()

"""The MCP server of the agent in docs/agents.md."""

from mcp.server import MCPServer
from mcp_types import ToolAnnotations

server = MCPServer("shop")


@server.tool(annotations=ToolAnnotations(read_only_hint=True))
def find_orders(customer: str) -> str:
    """Find the orders of a customer."""
    return "17, 23"


@server.tool()
def refund(order: int, euro: float) -> str:
    """Pay a customer back."""
    return f"{euro:g} € for order {order} are paid back."


if __name__ == "__main__":
    server.run()

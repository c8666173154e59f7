"""An agent of this package with the tools of an MCP server, which is started for each call."""

import sys
from pathlib import Path

from mcp import StdioServerParameters

from sessions_app.contrib.agents.agent import Agent
from sessions_app.contrib.agents.mcp import McpServer
from sessions_app.contrib.agents.scripted_model import ScriptedModel, tool_call
from sessions_app.workflows import Context, Message, workflow

SERVER = Path(__file__).with_name("travel_server.py")
COMMAND = StdioServerParameters(command=sys.executable, args=[str(SERVER)])
# `trusted`: read-only tools need no approval. The owner approves bookings.
AGENT = Agent(tools=[McpServer("travel", COMMAND, trusted=True)])


def script() -> ScriptedModel:
    """Return a scripted stand-in for a real model."""
    return ScriptedModel(
        ["I look for trains. ", tool_call("travel_find_trains", town="Rome")],
        [tool_call("travel_book", town="Rome", train="8:15")],
        "Have a good time.",
    )


@workflow(name="travel", title="Travel (MCP)", starters=("Book me a train to Rome",))
async def travel(message: Message, context: Context) -> str:
    """Answer with the model and the server's tools."""
    return await AGENT.run(context, script())

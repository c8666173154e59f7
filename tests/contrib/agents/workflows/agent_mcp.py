"""An agent with the tools of an MCP server."""

from sessions_app.contrib.agents.agent import Agent
from sessions_app.contrib.agents.mcp import McpServer
from sessions_app.contrib.agents.scripted_model import ScriptedModel, tool_call
from sessions_app.contrib.agents.tools import Policy
from sessions_app.workflows import Context
from tests.support.workflows.registry import Chunks

NOBODY = Policy(approval=False)


async def run(context: Context, mode: str, url: str, seconds: float) -> Chunks:
    """Look something up, stay a while, which must not be repeated, and book, which asks."""
    server = McpServer(
        "sky",
        url,
        mode=mode,
        approvals={"forecast": NOBODY, "stay": NOBODY},
        repeatable={"forecast"},
    )
    model = ScriptedModel(
        [tool_call("sky_forecast", town="Oslo")],
        [tool_call("sky_stay", town="Rome", seconds=seconds)],
        [tool_call("sky_book", town="Rome")],
        "Have a good time.",
    )
    yield await Agent(tools=[server]).run(context, model)

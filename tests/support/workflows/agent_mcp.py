"""The part of `probe` that is an agent with the tools of an MCP server."""

from collections.abc import AsyncGenerator

from sessions_app.agents import Agent, Policy
from sessions_app.agents.mcp import McpServer
from sessions_app.testing.scripted_model import ScriptedModel, tool_call
from sessions_app.workflows import Context

NOBODY = Policy(approval=False)


async def mcp(context: Context, arguments: list[str]) -> AsyncGenerator[str, None]:
    """Look something up, stay a while, which must not be repeated, and book, which asks."""
    mode, url, seconds = arguments
    server = McpServer(
        "sky",
        url,
        mode=mode,
        approvals={"forecast": NOBODY, "stay": NOBODY},
        repeatable={"forecast"},
    )
    model = ScriptedModel(
        [tool_call("sky_forecast", town="Oslo")],
        [tool_call("sky_stay", town="Rome", seconds=float(seconds))],
        [tool_call("sky_book", town="Rome")],
        "Have a good time.",
    )
    yield await Agent(tools=[server]).run(context, model)

"""The workflow of the assistant: its options, its model, and its agent."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from django.conf import settings
from pydantic import BaseModel, Field

from natproject.workflows.assistant.script import Script
from natproject.workflows.assistant.tools import TOOLS
from sessions_app.contrib.agents.agent import Agent, Budget
from sessions_app.contrib.agents.language_model import LanguageModel
from sessions_app.contrib.agents.tools import Toolset
from sessions_app.workflows import Context, Message, workflow


class AssistantOptions(BaseModel, extra="forbid"):
    """The options of the assistant in `workflows.yaml`."""

    instructions: str = "You are a helpful assistant. Use the tools where they help. Be brief."
    history: int = Field(20, ge=0, description="how many earlier messages the model gets")
    max_turns: int = Field(10, ge=1, description="requests to the model until a person is asked")
    timeout: float = Field(300, gt=0, description="seconds that one answer of the model may take")
    mcp_servers: dict[str, str] = Field({}, description="MCP servers with further tools: addresses")


@asynccontextmanager
async def open_model(_options: AssistantOptions) -> AsyncIterator[LanguageModel]:
    """Open the configured model with its connections: one for all users of a process."""
    if not settings.OPENAI_MODEL:
        yield Script()
        return
    # Import late: the model's client takes long to import.
    from sessions_app.contrib.agents import openai_model  # noqa: PLC0415

    async with openai_model.open_model(
        settings.OPENAI_MODEL,
        base_url=settings.OPENAI_BASE_URL,
        api_key=settings.OPENAI_API_KEY,
    ) as model:
        yield model


def open_toolsets(options: AssistantOptions) -> list[Toolset]:
    """Return the tools of the configured MCP servers; the person is asked before each call."""
    if not options.mcp_servers:
        return []
    # Import late: requirements.txt does not include the MCP package.
    from sessions_app.contrib.agents.mcp import McpServer  # noqa: PLC0415

    return [McpServer(name, address) for name, address in options.mcp_servers.items()]


@workflow(
    name="assistant",
    title="Assistant",
    description="Chats, calculates and keeps notes.",
    notice="" if settings.OPENAI_MODEL else "Demo mode: no model connected",
    starters=("Note: buy milk", "What is 17.5 * 12?", "Delete all my notes"),
    asks=("before writing or deleting",),
    options=AssistantOptions,
    shared_builder=open_model,
)
async def assistant(message: Message, context: Context) -> str:
    """Answer with the model and the tools."""
    options: AssistantOptions = context.options
    agent = Agent(
        instructions=options.instructions,
        tools=[*TOOLS, *open_toolsets(options)],
        budget=Budget(turns=options.max_turns),
        history=options.history,
        timeout=options.timeout,
    )
    return await agent.run(context, context.builder)

"""An agent's loop: a model that answers and asks for tools, with approvals by people.

Open `agent` for the loop, `tools` for what a tool is and who must allow it, `tool_use` for what
happens to a call, `budget` for when people are asked whether to go on. `openai_model` is a model,
and needs a package of its own.
"""

from sessions_app.agents.agent import Agent
from sessions_app.agents.budget import Budget
from sessions_app.agents.models import AnswerFields, Model, ModelMessage, Piece, ToolCall, Usage
from sessions_app.agents.tools import Policy, Tool, ToolContext, Tools, Toolset, tool

__all__ = [
    "Agent",
    "AnswerFields",
    "Budget",
    "Model",
    "ModelMessage",
    "Piece",
    "Policy",
    "Tool",
    "ToolCall",
    "ToolContext",
    "Tools",
    "Toolset",
    "Usage",
    "tool",
]

"""The digest of an approval: card, audit and tool have one, however an agent is hosted."""

import json
import sys
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import Any, ClassVar, TypedDict

import pytest
from langgraph.graph import END, START, StateGraph
from langgraph.types import interrupt
from mcp import StdioServerParameters
from pydantic_ai import Agent as PydanticAgent
from pydantic_ai.models.function import DeltaToolCall, FunctionModel

from natproject.settings.env import ROOT
from sessions_app.contrib.agents.agent import Agent
from sessions_app.contrib.agents.langgraph import langgraph_workflow
from sessions_app.contrib.agents.mcp import McpServer
from sessions_app.contrib.agents.pydantic_ai import pydantic_ai_workflow
from sessions_app.contrib.agents.scripted_model import ScriptedModel, tool_call
from sessions_app.contrib.agents.tools import Policy, tool
from sessions_app.json_types import JsonObject
from sessions_app.models import AuditEntry
from sessions_app.prompts.tool_call import digest_of
from sessions_app.storage import reads
from sessions_app.workflows import Context, Message, ToolCallPrompt, group, workflow
from tests.support.hosting import SentTo, make_members

# As the model writes it: one argument is coerced, and one is left out, where tools validate.
WRITTEN: JsonObject = {"order": "17"}
WHOLE: JsonObject = {"order": 17, "euro": 500}
SUPPORT = Policy(group("support"), edit=True)


class Got:
    """The arguments that a tool has got."""

    arguments: ClassVar[list[JsonObject]] = []


def refund(order: int, euro: int = 500) -> str:
    """Pay back."""
    Got.arguments.append({"order": order, "euro": euro})
    return "paid"


def host_function(_log: Path) -> None:
    agent = Agent(tools=[tool(refund).needs(SUPPORT.approval, edit=True)])
    host_own(agent, tool_call("refund", **WRITTEN))


def host_mcp(log: Path) -> None:
    command = ["-m", "tests.contrib.agents.mcp_server", str(log)]
    server = StdioServerParameters(command=sys.executable, args=command, cwd=str(ROOT))
    agent = Agent(tools=[McpServer("shop", server, approvals=SUPPORT)])
    host_own(agent, tool_call("shop_refund", order=17))


def host_own(agent: Agent, call: Any) -> None:
    model = ScriptedModel([call], "Done.")

    @workflow(name="t_digest", title="Digest")
    async def run(message: Message, context: Context) -> str:
        return await agent.run(context, model)


def host_pydantic_ai(_log: Path) -> None:
    async def say(messages: Any, _info: Any) -> AsyncGenerator[Any, None]:
        if len(messages) > 1:
            yield "Done."
        else:
            yield {0: DeltaToolCall("refund", json.dumps(WRITTEN), tool_call_id="a")}

    agent: PydanticAgent[None, str] = PydanticAgent(FunctionModel(stream_function=say))
    agent.tool_plain(requires_approval=True)(refund)
    pydantic_ai_workflow(agent, name="t_digest_pydantic_ai", title="Digest", approvals=SUPPORT)


class State(TypedDict, total=False):
    """The state of a graph."""

    said: str


async def call_tool(state: State) -> State:
    """Ask as LangChain's middleware does, and do what it does with the decision."""
    properties = {"order": {"type": "integer"}, "euro": {"type": "integer", "default": 500}}
    review = {
        "action_name": "refund",
        "allowed_decisions": ["approve", "edit"],
        "args_schema": {"properties": properties},
    }
    written = {"order": 17}
    request = {
        "action_requests": [{"name": "refund", "args": written}],
        "review_configs": [review],
    }
    [decision] = interrupt(request)["decisions"]
    is_edit = decision["type"] == "edit"
    return {"said": refund(**(decision["edited_action"]["args"] if is_edit else written))}


def host_langgraph(_log: Path) -> None:
    graph = StateGraph(State)
    graph.add_node("tools", call_tool)
    graph.add_edge(START, "tools")
    graph.add_edge("tools", END)
    langgraph_workflow(
        graph.compile(),
        name="t_digest_langgraph",
        title="Digest",
        approvals=SUPPORT,
        build_input=lambda *_: {"said": ""},
    )


@pytest.mark.slow
@pytest.mark.parametrize("edited", [None, {"order": 17, "euro": 40}])
@pytest.mark.parametrize(
    ("host", "name"),
    [
        (host_function, "t_digest"),
        (host_mcp, "t_digest"),
        (host_pydantic_ai, "t_digest_pydantic_ai"),
        (host_langgraph, "t_digest_langgraph"),
    ],
)
async def test_approval_is_shown_audited_and_executed_with_one_digest(
    sent_to: SentTo,
    tmp_path: Path,
    host: Callable[[Path], None],
    name: str,
    edited: JsonObject | None,
) -> None:
    Got.arguments, log = [], tmp_path / "log"
    host(log)
    [sue] = await reads.read(make_members, "support", "sue")
    async with sent_to(name, "Go") as (hosting, run):
        [prompt] = await run.prompts()
        assert isinstance(prompt, ToolCallPrompt)
        await hosting.crash()
        await run.answer({"decision": "approve", "arguments": edited or prompt.arguments}, by=sue)
        await run.result()
    lines = log.read_text().splitlines() if log.exists() else []
    got = [json.loads(line.removeprefix("refund ")) for line in lines]
    entry = await AuditEntry.objects.aget(action=AuditEntry.Action.ANSWERED)
    response = entry.detail["response"]
    digests = {response["digest"], *map(digest_of, Got.arguments + got)}
    assert (digests, len(Got.arguments + got)) == ({digest_of(edited or WHOLE)}, 1)
    assert digest_of(prompt.arguments) == digest_of(WHOLE)

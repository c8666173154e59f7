"""Agents of LangChain, which are graphs, hosted as they are."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import HumanInTheLoopMiddleware
from langchain_core.language_models.fake_chat_models import FakeMessagesListChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.tools import tool
from langgraph.prebuilt import ToolRuntime

from sessions_app.agents.langgraph import langgraph_workflow
from tests.support.hosting import SentTo


class Done:
    """A record of what the tools have done."""

    effects: ClassVar[list[str]] = []


@pytest.fixture(autouse=True)
def _nothing_done() -> None:
    Done.effects = []


class Model(FakeMessagesListChatModel):
    """A model that is told of tools."""

    def bind_tools(self, tools: Any, **options: Any) -> "Model":
        return self


def model(*answers: BaseMessage) -> Model:
    return Model(responses=list(answers))


def call(name: str, **arguments: Any) -> AIMessage:
    return AIMessage("", tool_calls=[{"name": name, "args": arguments, "id": f"call {name}"}])


@tool
def refund(order: int, euro: int) -> str:
    """Pay an order back."""
    Done.effects.append(f"{order} {euro}")
    return "Paid."


def middleware(mode: Literal["batched", "per_call"] = "batched", **options: Any) -> Any:
    """Make LangChain's human-in-the-loop middleware for `refund`."""
    config: Any = {"allowed_decisions": ["approve", "edit", "reject"], **options}
    return HumanInTheLoopMiddleware(interrupt_on={"refund": config}, interrupt_mode=mode)


@pytest.mark.parametrize("mode", ["batched", "per_call"])
@pytest.mark.parametrize(
    ("answer", "effects"),
    [
        ("approve", ["1 400"]),
        ({"decision": "approve", "arguments": {"order": 1, "euro": 40}}, ["1 40"]),
        ({"decision": "reject", "note": "Too much."}, []),
    ],
)
async def test_calls_are_decided_as_people_say(
    sent_to: SentTo, mode: Any, answer: Any, effects: list[str]
) -> None:
    answers = model(call("refund", order=1, euro=400), AIMessage("Done."))
    agent = create_agent(answers, [refund], middleware=[middleware(mode)])
    langgraph_workflow(agent, name="t_chain", title="Agent")
    async with sent_to("t_chain", "Go") as (hosting, run):
        await hosting.crash()
        await run.answer(answer)
        assert await run.result() == "Done."
    assert Done.effects == effects


@pytest.mark.parametrize(
    ("options", "note"),
    [
        ({"description": "Look at the order first."}, "Look at the order first."),
        ({}, "Tool execution requires approval"),
    ],
)
async def test_description_of_the_middleware_is_shown(
    sent_to: SentTo, options: Any, note: str
) -> None:
    answers = model(call("refund", order=1, euro=400), AIMessage("Done."))
    described = middleware(**options)
    langgraph_workflow(
        create_agent(answers, [refund], middleware=[described]), name="t_chain", title="Agent"
    )
    async with sent_to("t_chain", "Go") as (_, run):
        [prompt] = await run.prompts()
        assert prompt.text == f"May I do this: Refund 1?\n\n{note}"


async def test_agent_that_is_a_plain_tool_of_another_asks(sent_to: SentTo) -> None:
    inner_answers = model(call("refund", order=1, euro=400), AIMessage("Paid back."))
    inner = create_agent(inner_answers, [refund], middleware=[middleware()])

    @tool
    def cashier(task: str) -> str:
        """Have the cashier work."""
        result = inner.invoke({"messages": [{"role": "user", "content": task}]})
        return str(result["messages"][-1].text)

    outer_answers = model(call("cashier", task="Pay order 1 back"), AIMessage("Done."))
    langgraph_workflow(create_agent(outer_answers, [cashier]), name="t_chain", title="Agent")
    async with sent_to("t_chain", "Go") as (hosting, run):
        assert Done.effects == []
        await hosting.crash()
        await run.answer("approve")
        assert await run.result() == "Done."
    assert Done.effects == ["1 400"]


@dataclass
class Shop:
    """The runtime context of an agent."""

    owner: str


async def test_tools_are_given_the_runtime_context(sent_to: SentTo) -> None:
    @tool
    def note_owner(runtime: ToolRuntime[Shop]) -> str:
        """Note whose the shop is."""
        Done.effects.append(runtime.context.owner)
        return "Noted."

    answers = model(call("note_owner"), AIMessage("Done."))
    langgraph_workflow(
        create_agent(answers, [note_owner], context_schema=Shop),
        name="t_chain",
        title="Agent",
        build_context=lambda context: Shop(context.user.username),
    )
    async with sent_to("t_chain", "Go") as (hosting, run):
        assert await run.result() == "Done."
        assert Done.effects == [hosting.person.username]

"""Agents of LangChain, which are graphs, hosted as they are."""

from typing import Any, Literal

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import HumanInTheLoopMiddleware
from langchain_core.messages import AIMessage
from langchain_core.tools import tool

from sessions_app.contrib.agents.langgraph import langgraph_workflow
from tests.contrib.agents.graph_nodes import Done, model, refund
from tests.support.hosting import SentTo


@pytest.fixture(autouse=True)
def _nothing_done() -> None:
    Done.clear()


def call(name: str, **arguments: Any) -> AIMessage:
    return AIMessage("", tool_calls=[{"name": name, "args": arguments, "id": f"call {name}"}])


def middleware(mode: Literal["batched", "per_call"] = "batched", **options: Any) -> Any:
    """Make LangChain's human-in-the-loop middleware for `refund`."""
    config: Any = {"allowed_decisions": ["approve", "edit", "reject"], **options}
    return HumanInTheLoopMiddleware(interrupt_on={"refund": config}, interrupt_mode=mode)


DEFAULT = "Tool execution requires approval"
LOOK = "Look at the order first."


@pytest.mark.slow
@pytest.mark.parametrize(
    ("mode", "options", "note"),
    [
        ("batched", {}, DEFAULT),
        ("batched", {"description": LOOK}, LOOK),
        ("per_call", {"description": LOOK}, LOOK),
    ],
)
@pytest.mark.parametrize(
    ("answer", "effects"),
    [
        ("approve", ["1 400"]),
        ({"decision": "approve", "arguments": {"order": 1, "euro": 40}}, ["1 40"]),
        ({"decision": "reject", "note": "Too much."}, []),
    ],
)
async def test_calls_are_decided_as_people_say(
    sent_to: SentTo, mode: Any, options: Any, note: str, answer: Any, effects: list[str]
) -> None:
    answers = model(call("refund", order=1, euro=400), AIMessage("Done."))
    agent = create_agent(answers, [refund], middleware=[middleware(mode, **options)])
    langgraph_workflow(agent, name="t_chain", title="Agent")
    async with sent_to("t_chain", "Go") as (hosting, run):
        [prompt] = await run.prompts()
        assert prompt.text == f"May I do this: Refund 1?\n\n{note}"
        await hosting.crash()
        await run.answer(answer)
        assert await run.result() == "Done."
    assert Done.effects == effects


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["batched", "per_call"])
async def test_decision_that_the_middleware_does_not_allow_is_not_offered(
    sent_to: SentTo, mode: Any
) -> None:
    answers = model(call("refund", order=1, euro=400), AIMessage("Done."))
    rejecting = middleware(mode, allowed_decisions=["reject"])
    langgraph_workflow(
        create_agent(answers, [refund], middleware=[rejecting]), name="t_chain", title="Agent"
    )
    async with sent_to("t_chain", "Go") as (_, run):
        [prompt] = await run.prompts()
        assert "approve" not in [one.value for one in prompt.buttons]
        await run.answer("reject")
        assert await run.result() == "Done."
    assert Done.effects == []


@pytest.mark.slow
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

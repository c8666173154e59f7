"""A tool of an agent that is no step, and runs another agent whose tools people approve."""

import pytest

from sessions_app.contrib.agents.agent import Agent
from sessions_app.contrib.agents.scripted_model import ScriptedModel, tool_call
from sessions_app.contrib.agents.tools import tool
from sessions_app.workflows import Context, Message, workflow
from tests.contrib.agents.own_agent import Hosted, host, results
from tests.support.hosting import SentTo


def pay(euro: int) -> str:
    Hosted.done.append(euro)
    return f"{euro} € are paid"


@workflow(name="t_clerk", title="Clerk")
async def clerk(message: Message, context: Context) -> str:
    model = ScriptedModel([tool_call("pay", euro=5)], "The clerk is ready.")
    return await Agent(tools=[tool(pay).needs()]).run(context, model)


async def delegate(task: str) -> str:
    return str(await Context.get().run("t_clerk", task))


@pytest.mark.parametrize(("decision", "done"), [("approve", [5]), ("reject", [])])
async def test_agent_in_a_tool_asks_and_goes_on_after_a_crash(
    sent_to: SentTo, decision: str, done: list[int]
) -> None:
    model = ScriptedModel([tool_call("delegate", task="Pay")], "Done.")
    host(model, tool(delegate, in_step=False))
    async with sent_to("t_agent", "Pay", beside=("t_clerk",)) as (hosting, run):
        await run.prompts()
        await hosting.crash()
        await run.answer(decision)
        assert await run.result() == "Done."
    assert (Hosted.done, results()) == (done, ["The clerk is ready."])


def test_tool_that_is_no_step_is_async() -> None:
    with pytest.raises(TypeError, match="has to be `async def`"):
        tool(pay, in_step=False)

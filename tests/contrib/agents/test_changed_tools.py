"""Approvals that wait while their tool or policy changes: a refusal stays one, a change is said."""

from collections.abc import Callable
from typing import Any

import pytest

from sessions_app.contrib.agents.scripted_model import ScriptedModel, tool_call
from sessions_app.contrib.agents.tools import Tool, tool
from sessions_app.models import Interaction, Run
from sessions_app.workflows import Context, ToolCallPrompt
from tests.contrib.agents import own_agent
from tests.contrib.agents.own_agent import Hosted, host, results
from tests.support.hosting import Hosting

pytestmark = pytest.mark.django_db(transaction=True)


def pay(euro: int) -> str:
    """Pay an order back."""
    Hosted.done.append(euro)
    return "paid"


def pay_with_default(euro: int, account: str = "main") -> str:
    """Pay an order back."""
    Hosted.done.append((euro, account))
    return "paid"


def pay_with_other_name(amount: int) -> str:
    """Pay an order back."""
    Hosted.done.append(amount)
    return "paid"


def renamed(function: Callable[..., str]) -> Callable[..., str]:
    function.__name__ = "pay"
    return function


def model() -> Any:
    return ScriptedModel([tool_call("pay", euro=400)], "The end.")


CHANGES: dict[str, Callable[[], list[Tool]]] = {
    "no policy": lambda: [tool(pay)],
    "policy for less": lambda: [tool(pay).needs(lambda arguments, owner: arguments["euro"] > 1000)],
    "default": lambda: [tool(renamed(pay_with_default)).needs()],
    "signature": lambda: [tool(renamed(pay_with_other_name)).needs()],
    "gone": list,
}


async def wait_through(hosting: Hosting, change: str) -> tuple[Any, Interaction]:
    """Have a call wait for its approval while its tool changes."""
    host(model(), tool(pay).needs())
    run, prompt = await hosting.submit_until_prompt()
    await hosting.stop()
    host(model(), *CHANGES[change]())
    return run, prompt


@pytest.mark.parametrize("change", CHANGES)
async def test_refusal_is_heard_whatever_has_become_of_the_tool(change: str) -> None:
    async with Hosting("t_agent", park_after=0) as hosting:
        run, prompt = await wait_through(hosting, change)
        await hosting.start()
        await hosting.answer("reject", prompt)
        row = await hosting.until_ended(run)
    assert (row.status, Hosted.done) == (Run.Status.COMPLETED, []), row.error
    [result] = results()
    assert "refused" in result


async def test_approval_of_a_tool_that_has_changed_is_asked_for_again() -> None:
    async with Hosting("t_agent", park_after=0) as hosting:
        run, prompt = await wait_through(hosting, "default")
        await hosting.start()
        await hosting.answer("approve", prompt)
        [again] = await hosting.prompts(run)
        assert "has allowed this call. Its tool has changed since" in again.prompt["text"]
        assert "edited" not in again.prompt["text"]
        assert own_agent.Hosted.done == []
        await hosting.answer("approve", again)
        await hosting.result(run)
    assert Hosted.done == [(400, "main")]


@pytest.mark.parametrize("policy", [None, lambda arguments, owner: False])
async def test_question_of_the_tool_itself_is_not_taken_for_its_approval(policy: Any) -> None:
    async def pay(euro: int) -> str:
        asked = ToolCallPrompt(text="Book?", tool="book", arguments={"euro": euro})
        return str((await Context.get().ask(asked)).value)

    own = tool(pay, in_step=False)
    host(model(), own.needs(policy) if policy else own)
    async with Hosting("t_agent", park_after=0) as hosting:
        run, prompt = await hosting.submit_until_prompt()
        await hosting.restart()
        await hosting.answer("approve", prompt)
        await hosting.result(run)
    assert results() == ["approve"]

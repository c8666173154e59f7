"""Options of a step, and arguments of its function that have the names of options."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

from sessions_app.models import Run
from sessions_app.workflows import Context, Retry
from tests.runtime.replay.deployed import Body, deployed
from tests.support.hosting import problem, running

pytestmark = pytest.mark.django_db(transaction=True)


# What a model might choose, each with the name of an option.
CHOSEN: dict[str, Any] = {"title": "Lamp", "name": None, "retry": "no", "timeout": 5}


def make_ticket(title: str, name: str | None, retry: str, timeout: float = 3) -> str:
    return f"{title} {name} {retry} {timeout}"


def take_any(**given: Any) -> str:
    return make_ticket(**given)


async def say_any(reasoning: str = "", show: str = "", **given: Any) -> AsyncIterator[str]:
    yield make_ticket(**given) + f" {reasoning} {show}"


class Desk:
    def __init__(self) -> None:
        self.made: list[str] = []

    def make(self, title: str, name: str = "") -> str:
        self.made.append(title)
        return f"{title} {name}"


@dataclass
class Stamp:
    """A tool that is an object, and not hashable."""

    ink: str

    def __call__(self, title: str, name: str = "") -> str:
        return f"{title} in {self.ink} {name}"


async def ended(agent: Body) -> Run:
    async with deployed(agent) as hosting:
        return await hosting.ended(await hosting.submit())


@pytest.mark.parametrize("tool", [make_ticket, take_any, dict])
@pytest.mark.parametrize("option", CHOSEN)
async def test_an_argument_named_as_an_option_stays(tool: Callable[..., str], option: str) -> None:
    async def agent(context: Context) -> str:
        return await context.step(tool, **{option: CHOSEN[option]})

    run = await ended(agent)
    assert run.status == Run.Status.FAILED
    said = f"context.step(partial({tool.__name__}, {option}=…), …) is the argument"
    assert said in problem(run)["message"]


@pytest.mark.parametrize("tool", [make_ticket, take_any])
async def test_a_partial_keeps_arguments_and_options_apart(tool: Callable[..., str]) -> None:
    async def agent(context: Context) -> str:
        ticket = partial(tool, **CHOSEN)
        made = await context.step(ticket, title="Ticket", name="ticket", retry=Retry(), timeout=9)
        again = await context.transactional_step(ticket, title="Written", name="written")
        return f"{made}, {again}"

    async with running(deployed(agent)) as (hosting, run):
        assert await hosting.result(run) == "Lamp None no 5, Lamp None no 5"
        journal = await hosting.journal(run)
        shown = [e.payload["name"] for e in await hosting.events() if e.type == "step"]
    assert [entry.name for entry in journal] == ["ticket", "written"]
    assert journal[0].arguments == '[{"title":"Lamp","name":null,"retry":"no","timeout":5}]'
    assert shown == ["Ticket", "Ticket", "Written"]


@pytest.mark.parametrize("option", ["title", "name", "retry", "timeout", "reasoning", "show"])
async def test_a_streams_arguments_are_not_eaten_either(option: str) -> None:
    async def agent(context: Context) -> str:
        chosen: dict[str, Any] = {option: "high"}
        return "".join([piece async for piece in context.stream(say_any, **chosen)])

    run = await ended(agent)
    assert f"partial(say_any, {option}=…)" in problem(run)["message"]


async def test_a_streams_partial_has_all_of_them() -> None:
    async def agent(context: Context) -> str:
        said = partial(say_any, **CHOSEN, reasoning="high", show="all")
        return "".join([piece async for piece in context.stream(said, show=False)])

    async with deployed(agent) as hosting:
        assert await hosting.said() == "Lamp None no 5 high all"


async def test_no_transactional_step_eats_an_argument() -> None:
    async def agent(context: Context) -> str:
        return await context.transactional_step(make_ticket, **CHOSEN)

    run = await ended(agent)
    assert "partial(make_ticket, title=…)" in problem(run)["message"]


async def test_an_option_that_cannot_be_an_argument_is_one() -> None:
    """The function has no such parameter, or what comes before has filled it."""
    desk = Desk()

    async def agent(context: Context) -> str:
        one = await context.step(make_ticket, "a", "b", "c", title="One", name="one")
        two = await context.step(desk.make, "d", title="Two")
        three = await context.step(Desk.make, desk, "e", title="Three")
        four = await context.step(str.upper, "f", title="Four", name="four")
        return f"{one}, {two}, {three}, {four}"

    async with deployed(agent) as hosting:
        assert await hosting.said() == "a b c 3, d , e , F"


async def test_a_tool_may_be_an_object() -> None:
    async def agent(context: Context) -> str:
        red = await context.step(Stamp("red"), "Lamp", "1", name="stamp")
        return red + await context.step(partial(Stamp("blue"), title="Desk"), title="Stamped")

    async with deployed(agent) as hosting:
        assert await hosting.said() == "Lamp in red 1Desk in blue "

    async def eaten(context: Context) -> str:
        return await context.step(Stamp("red"), title="Lamp")

    assert "title=…" in problem(await ended(eaten))["message"]


async def test_self_and_function_are_the_functions() -> None:
    def tool(function: str, self: str) -> str:
        return f"{function} {self}"

    async def agent(context: Context) -> str:
        return await context.step(tool, function="sin", self="x")

    async with deployed(agent) as hosting:
        assert await hosting.said() == "sin x"

"""Options of a step, and arguments of its function that have the names of options."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

from sessions_app.errors import AmbiguousOption
from sessions_app.workflows import Context, Retry
from tests.runtime.replay.deployed import host_code
from tests.support.hosting import running

pytestmark = pytest.mark.django_db(transaction=True)


# What a model might choose, each with the name of an option.
CHOSEN: dict[str, Any] = {"title": "Lamp", "name": None, "retry": "no", "timeout": 5}


def make_ticket(title: str, name: str | None, retry: str, timeout: float = 3) -> str:
    return f"{title} {name} {retry} {timeout}"


def take_any(**arguments: Any) -> str:
    return make_ticket(**arguments)


async def say_any(reasoning: str = "", show: str = "", **options: Any) -> AsyncIterator[str]:
    yield make_ticket(**options) + f" {reasoning} {show}"


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


async def streamed(context: Context, tool: Any, **chosen: Any) -> object:
    return [piece async for piece in context.stream(tool, **chosen)]


@pytest.mark.parametrize(
    ("call", "tool", "options"),
    [
        (Context.step, make_ticket, [*CHOSEN]),
        (Context.step, take_any, [*CHOSEN]),
        (Context.step, dict, [*CHOSEN]),
        (Context.step, Stamp("red"), ["title", "name"]),
        (Context.transactional_step, make_ticket, ["title", "name"]),
        (streamed, say_any, [*CHOSEN, "reasoning", "show"]),
    ],
)
async def test_an_argument_named_as_an_option_is_refused_with_a_sentence(
    call: Callable[..., Any], tool: Callable[..., Any], options: list[str]
) -> None:
    """A model may have chosen the argument, which must not be swallowed."""
    refusals = []

    async def agent(context: Context) -> str:
        for option in options:
            try:
                await call(context, tool, **{option: CHOSEN.get(option, "high")})
            except AmbiguousOption as error:
                refusals.append(str(error))
        return ""

    async with host_code(agent) as hosting:
        await hosting.reply_to()
    name = getattr(tool, "__name__", repr(tool))
    for option, message in zip(options, refusals, strict=True):
        assert f"context.step(partial({name}, {option}=…), …) is the argument" in message


@pytest.mark.parametrize("tool", [make_ticket, take_any])
async def test_a_partial_keeps_arguments_and_options_apart(tool: Callable[..., str]) -> None:
    async def agent(context: Context) -> str:
        ticket = partial(tool, **CHOSEN)
        ticket_text = await context.step(
            ticket, title="Ticket", name="ticket", retry=Retry(), timeout=9
        )
        again = await context.transactional_step(ticket, title="Written", name="written")
        return f"{ticket_text}, {again}"

    async with running(host_code(agent)) as (hosting, run):
        assert await hosting.result(run) == "Lamp None no 5, Lamp None no 5"
        journal = await hosting.journal(run)
        step_names = [e.payload["name"] for e in await hosting.events() if e.type == "step"]
    assert [entry.name for entry in journal] == ["ticket", "written"]
    assert journal[0].arguments == '[{"title":"Lamp","name":null,"retry":"no","timeout":5}]'
    assert step_names == ["Ticket", "Ticket", "Written"]


async def test_a_partial_streams_with_all_options_as_arguments() -> None:
    async def agent(context: Context) -> str:
        chosen_stream = partial(say_any, **CHOSEN, reasoning="high", show="all")
        return "".join([piece async for piece in context.stream(chosen_stream, show=False)])

    async with host_code(agent) as hosting:
        assert await hosting.reply_to() == "Lamp None no 5 high all"


async def test_an_option_that_is_no_parameter_stays_an_option() -> None:
    """The function has no such parameter, or what comes before has filled it."""
    desk = Desk()

    async def agent(context: Context) -> str:
        one = await context.step(make_ticket, "a", "b", "c", title="One", name="one")
        two = await context.step(desk.make, "d", title="Two")
        three = await context.step(Desk.make, desk, "e", title="Three")
        four = await context.step(str.upper, "f", title="Four", name="four")
        return f"{one}, {two}, {three}, {four}"

    async with host_code(agent) as hosting:
        assert await hosting.reply_to() == "a b c 3, d , e , F"


async def test_a_tool_may_be_an_object() -> None:
    async def agent(context: Context) -> str:
        red = await context.step(Stamp("red"), "Lamp", "1", name="stamp")
        return red + await context.step(partial(Stamp("blue"), title="Desk"), title="Stamped")

    async with host_code(agent) as hosting:
        assert await hosting.reply_to() == "Lamp in red 1Desk in blue "


async def test_arguments_named_self_and_function_reach_the_function() -> None:
    def tool(function: str, self: str) -> str:
        return f"{function} {self}"

    async def agent(context: Context) -> str:
        return await context.step(tool, function="sin", self="x")

    async with host_code(agent) as hosting:
        assert await hosting.reply_to() == "sin x"

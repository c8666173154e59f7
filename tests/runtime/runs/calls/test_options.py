"""Tests of a step's options, and of function arguments with the same names."""

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


# Arguments that a model might choose, each named like an option of `step`.
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
    """A model may have chosen the argument, so it must not be dropped silently."""
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


def calculate(function: str, self: str) -> str:
    return f"{function} {self}"


DESK = Desk()
ALL_CHOSEN = partial(say_any, **CHOSEN, reasoning="high", show="all")


@pytest.mark.parametrize(
    ("call", "expected_output"),
    [
        (lambda context: streamed(context, ALL_CHOSEN, show=False), "['Lamp None no 5 high all']"),
        # Here, the function has no such parameter, or an argument before has filled the parameter.
        (lambda c: c.step(make_ticket, "a", "b", "c", title="One", name="one"), "a b c 3"),
        (lambda context: context.step(DESK.make, "d", title="Two"), "d "),
        (lambda context: context.step(Desk.make, DESK, "e", title="Three"), "e "),
        (lambda context: context.step(str.upper, "f", title="Four", name="four"), "F"),
        (lambda context: context.step(Stamp("red"), "Lamp", "1", name="stamp"), "Lamp in red 1"),
        (lambda c: c.step(partial(Stamp("blue"), title="Desk"), title="Set"), "Desk in blue "),
        (lambda context: context.step(calculate, function="sin", self="x"), "sin x"),
    ],
    ids=[
        *("partial stream", "filled before", "method", "function of a class", "built-in"),
        *("object", "partial of an object", "named as parameters of step"),
    ],
)
async def test_options_and_arguments_reach_whom_they_are_for(
    call: Callable[[Context], Any], expected_output: str
) -> None:
    async def agent(context: Context) -> str:
        return str(await call(context))

    async with host_code(agent) as hosting:
        assert await hosting.reply_to() == expected_output

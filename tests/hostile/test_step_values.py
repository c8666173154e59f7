"""Steps and streams that give the corpus: each is stored or refused, and holds nobody up."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from sessions_app.workflows import Context
from tests.hostile.attack.results import longest_work, problem_of, values
from tests.runtime.replay.deployed import Body, deploy, host_code

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.every_form(reason="the other database takes other values"),
]


def step(value: Any) -> Body:
    async def give() -> Any:
        return value

    async def agent(context: Context) -> str:
        await context.step(give, title="Give it")
        return "done"

    return agent


def annotated_step(value: Any) -> Body:
    def give() -> dict[str, Any] | list[Any] | str | float:
        return value  # type: ignore[no-any-return]  # it may be of any type

    async def agent(context: Context) -> str:
        await context.step(give)
        return "done"

    return agent


def stream(value: Any) -> Body:
    async def give() -> AsyncIterator[Any]:
        yield value

    async def agent(context: Context) -> str:
        async for _ in context.stream(give, title="Give it"):
            pass
        return "done"

    return agent


ANNOTATED = pytest.param(
    annotated_step, marks=pytest.mark.beyond("a step with a return type may give any value")
)


@pytest.mark.slow
@pytest.mark.parametrize("way", [step, ANNOTATED, stream])
async def test_every_value_is_stored_or_refused_and_holds_nobody_up(
    way: Callable[[Any], Body],
) -> None:
    problems = {}
    async with host_code(way(None)) as hosting:
        for number, (name, value) in enumerate(values(700_000)):
            deploy(way(value))
            async with longest_work() as times:
                run = await hosting.submit(conversation=f"c{number}")
                row = await hosting.until_ended(run)
            if problem := problem_of(row, times):
                problems[name] = problem
    assert not problems

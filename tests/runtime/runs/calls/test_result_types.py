"""Tests that a step returns the same on replay as when it has just run, or is refused."""

import enum
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated, Any, NamedTuple
from uuid import UUID

import pytest
from pydantic import AfterValidator, BaseModel, PrivateAttr

from sessions_app.errors import NotJson
from sessions_app.models import Run
from sessions_app.workflows import Context, Message, TextPrompt, workflow
from sessions_app.workflows.steps import ResultType
from tests.runtime.replay.deployed import Body, deploy, host_code
from tests.support.hosting import asking, problem
from tests.support.sessions import in_script

pytestmark = pytest.mark.django_db(transaction=True)


@dataclass
class Quote:
    price: Decimal


class Mail(BaseModel):
    subject: str
    _cached: dict[str, str] = PrivateAttr(default_factory=dict)


class Point(NamedTuple):
    x: int


class Colour(enum.Enum):
    RED = "red"


class Tone(enum.StrEnum):
    DARK = "dark"


class Incomparable(BaseModel):
    x: int = 1

    def __eq__(self, other: object) -> bool:
        raise ValueError("the truth value is ambiguous")

    __hash__ = None  # type: ignore[assignment]  # as what compares by value


def quote():  # type: ignore[no-untyped-def]  # the mistake that is made here
    return Quote(Decimal("9.90"))


async def pieces():  # type: ignore[no-untyped-def]  # as above
    yield "a "
    yield Quote(Decimal("9.90"))


async def typed_pieces() -> AsyncIterator[str | Quote]:
    yield "a "
    yield Quote(Decimal("9.90"))


async def step(context: Context) -> str:
    return str(await context.step(quote))


async def transactional(context: Context) -> str:
    return str(await context.transactional_step(quote))


async def stream(context: Context) -> str:
    return str([piece async for piece in context.stream(pieces)])


async def of_no_json(context: Context) -> str:
    return str(await context.step(object))


OTHERWISE = (
    "a Quote in it would come back as a dict: have the function's return annotation say what it is"
)


@pytest.mark.parametrize(
    ("agent", "expected_problem"),
    [
        (step, OTHERWISE),
        (transactional, OTHERWISE),
        (stream, OTHERWISE),
        (of_no_json, "cannot be stored as JSON"),
    ],
)
async def test_a_result_that_would_come_back_otherwise_is_refused(
    agent: Body, expected_problem: str
) -> None:
    async with host_code(agent) as hosting:
        run = await hosting.until_ended(await hosting.submit())
    assert (run.status, problem(run)["code"]) == (Run.Status.SUSPENDED, "NotJson")
    assert expected_problem in problem(run)["detail"]
    assert "Return plain values" in problem(run)["detail"]
    assert f" of {__name__}, in " in problem(run)["detail"]
    with pytest.raises(NotJson):
        await in_script("t_deployed")


@workflow(name="t_result_child", title="Returns what is no JSON")
async def child(message: Message, context: Context) -> Any:
    return Quote(Decimal("9.90"))


@workflow(name="t_result_typed", title="Returns a quote")
async def typed(message: Message, context: Context) -> Quote:
    return Quote(Decimal("9.90"))


async def test_a_script_reads_what_a_child_returns_as_a_hosted_run_does() -> None:
    results: list[Any] = []

    async def agent(context: Context) -> str:
        results.append(await context.run("t_result_typed", "x"))
        return str(await context.run("t_result_child", "x"))

    deploy(agent)
    with pytest.raises(NotJson):
        await in_script("t_deployed")
    assert results == [Quote(Decimal("9.90"))]


async def test_an_annotated_result_is_the_same_on_replay() -> None:
    results: list[Any] = []

    def annotated() -> Quote:
        return Quote(Decimal("9.90"))

    async def agent(context: Context) -> str:
        results.append(await context.step(annotated))
        results.append([piece async for piece in context.stream(typed_pieces)])
        return (await context.ask(TextPrompt(text="Go on?"))).text

    async with asking(host_code(agent)) as (hosting, run, _):
        await hosting.complete(run, "yes", restart=True)
    assert results[:2] == results[2:] == [Quote(Decimal("9.90")), ["a ", Quote(Decimal("9.90"))]]


@pytest.mark.parametrize(
    "result",
    [
        Quote(Decimal(1)),
        Mail(subject="x"),
        [{"mail": Mail(subject="x")}],
        datetime(2026, 1, 1, tzinfo=UTC),
        date(2026, 1, 1),
        UUID(int=7),
        Decimal("1.10"),
        {"a"},
        ("a", "b"),
        Point(1),
        Colour.RED,
        b"bytes",
        float("nan"),
        {1: "a number is no name in JSON"},
        Incomparable(),
    ],
    ids=repr,
)
def test_a_result_that_needs_an_annotation_is_refused_without(result: Any) -> None:
    with pytest.raises(NotJson, match="would come back as"):
        ResultType(Any, "look").dump(result)
    with pytest.raises(NotJson, match="would come back as"):
        ResultType(dict[str, Any], "look").dump({"deep": {"down": {1, 2}, "in": result}})


@pytest.mark.parametrize(
    ("annotation", "result"),
    [
        (Any, None),
        (list[Incomparable], [Incomparable()]),
        (Any, {"a": [1, 2.5, True, None, "x", {"b": []}]}),
        (Any, Counter("aab")),
        (Any, Tone.DARK),  # a text, and equal to what comes back
        (dict[str, Any], {"a": [1, {"b": "c"}]}),
        (Sequence[int], (1, 2)),
        (tuple[int, str], (1, "a")),
        (set[str], {"a"}),
        (dict[int, str], {1: "a"}),
        (Decimal, Decimal("1.10")),
        (UUID, UUID(int=7)),
        (Quote, Quote(Decimal("1.10"))),
        (list[Mail], [Mail(subject="x")]),
        (float, 1),
        (Incomparable, Incomparable()),
    ],
    ids=repr,
)
def test_a_result_that_survives_json_is_accepted(annotation: Any, result: Any) -> None:
    kind = ResultType(annotation, "look")
    back = kind.load(kind.dump(result))
    if annotation == Sequence[int]:
        back = tuple(back)
    assert repr(back) == repr(result) or back == result


def test_list_whose_items_a_validator_drops_is_refused() -> None:
    annotation = Annotated[list[int], AfterValidator(lambda items: items[:1])]
    with pytest.raises(NotJson, match="a list of 2 in it would come back as a list of 1:"):
        ResultType(annotation, "t").dump([1, 2])

"""Tests that a replayed step returns the same as the first execution, or is refused."""

import enum
import sys
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Annotated, Any, NamedTuple, TypedDict
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from pydantic import (
    AfterValidator,
    BaseModel,
    Field,
    PrivateAttr,
    SecretStr,
    computed_field,
)

from sessions_app.errors import NotJson
from sessions_app.models import Run
from sessions_app.workflows import Context, Message, TextPrompt, workflow
from sessions_app.workflows.steps import ResultType
from tests.runtime.replay.deployed import Body, deploy, executed, host_code
from tests.support.hosting import asking, problem
from tests.support.sessions import in_script

pytestmark = pytest.mark.django_db(transaction=True)

BERLIN = ZoneInfo("Europe/Berlin")


@dataclass
class Quote:
    price: Decimal


@dataclass
class Moment:
    at: datetime


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


class Aliased(BaseModel):
    first_name: str = Field(validation_alias="firstName", serialization_alias="first-name")


class Strict(BaseModel, extra="forbid"):
    ratio: float

    @computed_field  # type: ignore[prop-decorator]  # as pydantic documents it
    @property
    def percent(self) -> float:
        return self.ratio * 100


class Login(BaseModel):
    key: SecretStr


class Hidden(BaseModel):
    shown: int = 1
    hidden: int = Field(default=0, exclude=True)


class Base(BaseModel):
    x: int = 1


class Derived(Base):
    y: int = 2


class Plain(TypedDict):
    x: int


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
    ("agent", "expected_code", "expected_problem"),
    [
        (step, "ResultRefused", OTHERWISE),
        (transactional, "NotJson", OTHERWISE),
        (stream, "NotJson", OTHERWISE),
        (of_no_json, "ResultRefused", "cannot be stored as JSON"),
    ],
)
async def test_a_result_that_would_come_back_otherwise_is_refused(
    agent: Body, expected_code: str, expected_problem: str
) -> None:
    async with host_code(agent) as hosting:
        run = await hosting.until_ended(await hosting.submit())
    assert (run.status, problem(run)["code"]) == (Run.Status.SUSPENDED, expected_code)
    assert expected_problem in problem(run)["detail"]
    assert "Return plain values" in problem(run)["detail"]
    assert f"At {__name__}:" in problem(run)["detail"]
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

    def measure() -> list[float]:
        return [float("inf"), float("nan")]

    async def agent(context: Context) -> str:
        results.append(await context.step(annotated))
        results.append(str(await context.step(measure)))
        results.append([piece async for piece in context.stream(typed_pieces)])
        return (await context.ask(TextPrompt(text="Go on?"))).text

    async with asking(host_code(agent)) as (hosting, run, _):
        await hosting.complete(run, "yes", restart=True)
    quoted = Quote(Decimal("9.90"))
    assert results[:3] == results[3:] == [quoted, "[inf, nan]", ["a ", quoted]]


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
    ("annotation", "result", "expected_problem"),
    [
        (Login, Login(key=SecretStr("pw")), "a value of type SecretStr in it would come back as"),
        (list[Hidden], [Hidden(hidden=7)], "a value of type int in it would come back as another"),
        (dict[str, Base], {"a": Derived()}, "a Derived in it would come back as a Base"),
        (tuple[Base, int], (Derived(), 1), "a Derived in it would come back as a Base"),
        (float | str, float("nan"), "a float in it would come back as a str"),
        (int, 10**5000, "more digits than Python reads"),
        (Any, [10**5000], "more digits than Python reads"),
        (
            Annotated[list[int], AfterValidator(lambda items: items[:1])],
            [1, 2],
            "a list of 2 in it would come back as a list of 1:",
        ),
        (datetime, datetime(2026, 10, 25, 2, 30, tzinfo=BERLIN), "return it in UTC"),
        (list[time], [time(2, 30, fold=1)], "or `fold`, which JSON"),
        (Moment, Moment(datetime(2026, 7, 1, tzinfo=BERLIN)), "a datetime in it has a time zone"),
    ],
    ids=[
        *("secret", "excluded", "subclass", "in a tuple", "text", "long number", "in a list"),
        "items that a validator drops",
        *("zone", "fold", "zone in a dataclass"),
    ],
)
def test_annotated_result_that_would_lose_something_is_refused(
    annotation: Any, result: Any, expected_problem: str
) -> None:
    with pytest.raises(NotJson, match=expected_problem) as refusal:
        ResultType(annotation, "look").dump(result)
    assert "pw" not in str(refusal.value)


@pytest.mark.parametrize(
    ("annotation", "result"),
    [
        (Any, None),
        (list[Incomparable], [Incomparable()]),
        (Any, {"a": [1, 2.5, True, None, "x", {"b": []}]}),
        (Any, Counter("aab")),
        (Any, Tone.DARK),  # the member is a string, and equal to the loaded value
        (dict[str, Any], {"a": [1, {"b": "c"}]}),
        (Sequence[int], (1, 2)),
        (tuple[int, str], (1, "a")),
        (set[str], {"a"}),
        (dict[int, str], {1: "a"}),
        (Decimal, Decimal("1.10")),
        (UUID, UUID(int=7)),
        (datetime, datetime(2026, 7, 1, tzinfo=UTC)),
        (Moment, Moment(datetime(2026, 7, 1, tzinfo=timezone(timedelta(hours=2))))),
        (Quote, Quote(Decimal("1.10"))),
        (list[Mail], [Mail(subject="x")]),
        (float, 1),
        (Incomparable, Incomparable()),
        (list[float], [float("inf"), float("-inf"), float("nan"), 1.5]),
        (Strict, Strict(ratio=float("inf"))),
        (Aliased, Aliased(firstName="Eve")),  # type: ignore[call-arg]  # the plugin reads no alias
    ],
    ids=repr,
)
def test_a_result_that_survives_json_is_accepted(annotation: Any, result: Any) -> None:
    kind = ResultType(annotation, "look")
    back = kind.load(kind.dump(result))
    if annotation == Sequence[int]:
        back = tuple(back)
    assert repr(back) == repr(result) or back == result


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="pydantic reads it from there on")
async def test_annotation_that_cannot_be_read_is_refused_before_the_step_runs() -> None:
    def plain() -> Plain:
        executed.append("plain")
        return {"x": 1}

    async def agent(context: Context) -> str:
        return str(await context.step(plain))

    async with host_code(agent) as hosting:
        run = await hosting.until_ended(await hosting.submit())
    assert (run.status, problem(run)["code"]) == (Run.Status.SUSPENDED, "NotJson")
    assert "use `typing_extensions.TypedDict`" in problem(run)["detail"]
    assert executed == []

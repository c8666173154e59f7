"""Results of the toolkit's functions: recorded as they are, or refused."""

import json
import sys
from pathlib import Path
from typing import Any, Generic, TypeVar

import pytest
from django.contrib.auth import get_user_model
from pydantic import BaseModel, Field, SecretStr

from sessions_app import runs
from sessions_app.contrib.agents.nat import nat_workflow
from sessions_app.contrib.testing.hosted_run import HostedRun
from sessions_app.contrib.testing.hosting import Hosting, NewHosting
from sessions_app.models import JournalEntry, Run
from tests.hostile.attack.results import longest_work, problem_of, values
from tests.nat.components import Done, Given, Receipt
from tests.support.hosting import SentTo

HERE = Path(__file__).parent
T = TypeVar("T")

NEVER = "t_never_imported"
# JSON as somebody else may write it, of whom a function has it.
OF_OTHERS = [
    {"__class__": f"{NEVER}:Thing", "fields": {"x": 7}},
    {"__class__": "tests.nat.components:Receipt", "fields": {"order": 1, "lines": []}},
    {"__model__": f"{NEVER}:Thing", "fields": {"x": 7}},
    {"__model__": None, "fields": {"x": 7}},
    {"deep": [{"__model__": None}, {"__class__": 1}]},
]


class Aliased(BaseModel):
    first_name: str = Field(alias="firstName")


class Page(BaseModel, Generic[T]):
    items: list[T]


class Ratio(BaseModel):
    ratio: float


class Login(BaseModel):
    key: SecretStr


class Holder(BaseModel):
    ratio: Ratio


class Named(Ratio):
    name: str = "half"


@pytest.fixture(autouse=True)
def _nothing_given() -> None:
    Done.effects, Given.seen = [], []
    nat_workflow(HERE / "give.yml", name="t_give")


async def resume(hosting: Hosting, run: HostedRun) -> None:
    by = await get_user_model().objects.aget(pk=hosting.person.id)
    assert await runs.aresume(run.id, by=by)


@pytest.mark.parametrize(
    "value",
    [
        Aliased(firstName="Eve"),
        [Page[Receipt](items=[Receipt(order=1, lines=["Bolt"])])],
        {"page": Page[dict[str, int]](items=[{"a": 1}])},
        Ratio(ratio=float("inf")),
        OF_OTHERS,
    ],
    ids=repr,
)
async def test_values_come_back_as_they_were_and_json_of_others_becomes_no_object(
    sent_to: SentTo, value: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / f"{NEVER}.py").write_text("raise AssertionError('it was imported')")
    monkeypatch.syspath_prepend(str(tmp_path))
    Given.value = value
    async with sent_to("t_give", "Go") as (hosting, run):
        await run.prompts()
        await hosting.crash()
        await run.answer("yes")
        assert await run.result() == "yes"
    assert Given.seen == [value, value]
    assert NEVER not in sys.modules
    assert Done.effects == ["give it"]


def local() -> BaseModel:
    class Local(BaseModel):
        x: int = 1

    return Local()


@pytest.mark.parametrize(
    ("value", "expected_problem"),
    [
        (Login(key=SecretStr("pw")), "a value of type SecretStr in it would come back as another"),
        (Holder(ratio=Named(ratio=0.5)), "a Named in it would come back as a Ratio"),
        ([local()], "a Local in it would come back as a dict"),
        (Page[int | None](items=[]), "in it would come back as a dict"),
        ({1: "a"}, "a dict in it would come back as a dict"),
    ],
)
async def test_what_would_come_back_otherwise_is_refused_and_not_given_again(
    sent_to: SentTo, value: Any, expected_problem: str
) -> None:
    Given.value = value
    async with sent_to("t_give", "Go") as (hosting, run):
        for _ in range(2):
            row = await run.rest()
            assert row.status == Run.Status.SUSPENDED
            assert row.error is not None
            assert row.error["code"] == "ResultRefused"
            assert expected_problem in row.error["detail"]
            await resume(hosting, run)
    assert Done.effects == ["give it"]


@pytest.mark.parametrize(
    ("model", "expected_status"),
    [("tests.nat.components:Receipt", "completed"), (f"{NEVER}:Thing", "suspended")],
)
async def test_record_of_an_earlier_version_imports_nothing(
    sent_to: SentTo, model: str, expected_status: str
) -> None:
    Given.value = "x"
    async with sent_to("t_give", "Go") as (hosting, run):
        await run.prompts()
        await hosting.crash()
        recorded = {"__class__": model, "fields": {"order": 1, "lines": ["Bolt"]}}
        entries = JournalEntry.objects.filter(run=run.id, name="give")
        assert await entries.aupdate(result=[[recorded]]) == 1
        await run.answer("yes")
        assert (await run.rest()).status == expected_status
    if expected_status == "completed":
        assert Given.seen[1:] == [[Receipt(order=1, lines=["Bolt"])]]


@pytest.mark.parametrize(
    ("whole", "expected_output"),
    [(True, "b'\\xff'"), (False, '{"order":1,"lines":[]}{"order":2,"lines":[]}')],
)
async def test_output_that_is_no_text_is_said(
    sent_to: SentTo, tmp_path: Path, *, whole: bool, expected_output: str
) -> None:
    config = tmp_path / "config.yml"
    config.write_text(json.dumps({"workflow": {"_type": "t_say", "whole": whole}}))
    nat_workflow(config, name="t_say")
    async with sent_to("t_say", "Go") as (_, run):
        assert await run.result() == expected_output


async def test_option_that_is_equal_to_another_is_the_one_that_was_chosen(
    sent_to: SentTo, tmp_path: Path
) -> None:
    options = [{"label": "One", "value": 1}, {"label": "Yes", "value": True}]
    question = {"input_type": "binary_choice", "text": "Which?", "options": options}
    config = tmp_path / "config.yml"
    config.write_text(json.dumps({"workflow": {"_type": "t_ask_all", "prompts": [question]}}))
    nat_workflow(config, name="t_options")
    async with sent_to("t_options", "Go") as (_, run):
        await run.answer(True)
        [answer] = json.loads(await run.result())
    assert answer["selected_option"]["label"] == "Yes"


@pytest.mark.slow
async def test_every_value_is_stored_or_refused_and_holds_nobody_up(
    host_workflow: NewHosting,
) -> None:
    problems = {}
    async with host_workflow("t_give") as hosting:
        for number, (name, value) in enumerate(values(100_000)):
            Given.value = value
            async with longest_work() as times:
                run = await hosting.send("Go", conversation=f"c{number}")
                if await run.prompts():
                    await run.answer("yes")
                row = await run.rest()
            if problem := problem_of(row, times):
                problems[name] = problem
    assert not problems

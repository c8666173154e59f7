"""Tests of steps with results that cannot be stored: resuming does not call them again."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest
from pydantic import BaseModel, SecretStr

from sessions_app import runs
from sessions_app.models import Run
from sessions_app.workflows import Context
from tests.runtime.replay.deployed import Body, deploy, executed, host_code
from tests.runtime.replay.test_forks import fork
from tests.support.hosting import Hosting, django_user, problem

pytestmark = pytest.mark.django_db(transaction=True)


@dataclass
class Receipt:
    number: int
    paid: Decimal


class Login(BaseModel):
    key: SecretStr


def pay() -> Any:
    executed.append("pay")
    return [Receipt(7, Decimal("9.90"))]


def pay_as_annotated() -> list[Receipt]:
    return list(pay())


def pay_otherwise_annotated() -> list[dict[str, int]]:
    return []


def log_in() -> Login:
    executed.append("log in")
    return Login(key=SecretStr("pw"))


def code(function: Any) -> Body:
    async def agent(context: Context) -> str:
        try:
            return str(await context.step(function, name="pay"))
        except Exception:  # noqa: BLE001 - as agents do, which say it to their model
            return str(await context.step(log_in, name="try something else"))

    return agent


async def suspended(hosting: Hosting) -> Run:
    run = await hosting.until_ended(await hosting.submit())
    assert run.status == Run.Status.SUSPENDED
    return run


async def resume(hosting: Hosting, run: Run) -> Run:
    assert await runs.aresume(run.id, by=django_user("an operator"))
    return await hosting.until_ended(run.id)


async def test_resuming_calls_the_step_no_second_time() -> None:
    async with host_code(code(pay)) as hosting:
        run = await suspended(hosting)
        for _ in range(2):
            row = await resume(hosting, run)
            assert (row.status, problem(row)["code"]) == (Run.Status.SUSPENDED, "ResultRefused")
        assert "resuming does not call it again" in problem(row)["detail"]
        assert "fork the run at position 1" in problem(row)["detail"]
        [entry] = await hosting.journal(run.id)
        assert entry.result == [{"number": 7, "paid": "9.90"}]
    assert executed == ["pay"]


RECEIPT = "[Receipt(number=7, paid=Decimal('9.90'))]"


@pytest.mark.parametrize(
    ("fixed", "forked", "status", "output"),
    [
        (pay_as_annotated, False, Run.Status.COMPLETED, RECEIPT),
        (pay_otherwise_annotated, False, Run.Status.SUSPENDED, ""),
        (pay_as_annotated, True, Run.Status.COMPLETED, RECEIPT),
    ],
    ids=["the annotation describes it", "it loses something else", "a fork calls it again"],
)
async def test_result_is_read_by_the_annotation_that_is_there_now(
    fixed: Any, forked: bool, status: str, output: str
) -> None:
    async with host_code(code(pay)) as hosting:
        run = await suspended(hosting)
        deploy(code(fixed))
        if forked:
            row = await hosting.until_ended(await fork(hosting, run.id, 1))
        else:
            row = await resume(hosting, run)
        assert (row.status, await hosting.output(row.id)) == (status, output)
    assert executed == ["pay"] * (1 + forked)


async def test_secret_is_not_kept() -> None:
    async with host_code(code(log_in)) as hosting:
        run = await suspended(hosting)
        assert "Fork the run at position 1" in problem(run)["detail"]
        [entry] = await hosting.journal(run.id)
        assert entry.result is None
        assert "pw" not in f"{entry.error} {run.error}"

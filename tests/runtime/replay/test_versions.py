"""Tests of two versions of a workflow: each run finishes with the version that began it."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from sessions_app import runs
from sessions_app.models import Run
from sessions_app.storage import reads
from sessions_app.workflows import Context, Message, TextPrompt, registry, workflow
from tests.runtime.replay.deployed import executed, other, work
from tests.support.hosting import Hosting, asking, django_user, make_user, problem

NAME = "t_versioned"


async def first(message: Message, context: Context) -> str:
    await context.step(work, "1")
    await context.ask(TextPrompt(text="?"))
    return f"first {await context.step(work, '2')}"


async def second(message: Message, context: Context) -> str:
    await context.step(other, "new")
    await context.ask(TextPrompt(text="?"))
    return "second"


async def third(message: Message, context: Context) -> str:
    return str((await context.ask(TextPrompt(text="?"))).text)


def deploy(*versions: Callable[..., Any]) -> None:
    """Declare exactly these versions, numbered in this order."""
    registry._declared.pop(NAME, None)
    for function in versions:
        number = (first, second, third).index(function) + 1
        workflow(name=NAME, title=f"Version {number}", version=number)(function)


async def redeploy(hosting: Hosting, *versions: Callable[..., Any]) -> None:
    """Restart the process with these versions."""
    await hosting.stop()
    deploy(*versions)
    hosting.offer()
    await hosting.start()


@pytest.fixture(autouse=True)
def _declared_for_this_test_only() -> Iterator[None]:
    executed.clear()
    yield
    registry._declared.pop(NAME, None)
    registry.offer_configured()


@pytest.mark.django_db(transaction=True)
async def test_old_runs_finish_with_the_code_that_began_them() -> None:
    deploy(first)
    async with asking(NAME) as (hosting, old, prompt):
        await redeploy(hosting, first, second)
        new, asked_anew = await hosting.submit_until_prompt(conversation="another")
        await hosting.answer_any("yes", prompt)
        await hosting.answer_any("yes", asked_anew)
        assert (await hosting.until_ended(old)).version == 1
        assert (await hosting.until_ended(new)).version == 2
        assert await hosting.output(old) == "first 2"
        assert await hosting.output(new) == "second"
        assert executed == ["1", "new", "2"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("position", "version"), [(2, 2), (1, 3)])
async def test_a_fork_that_keeps_something_has_the_code_of_its_source(
    position: int, version: int
) -> None:
    deploy(second)
    async with asking(NAME) as (hosting, old, prompt):
        await redeploy(hosting, second, third)
        await hosting.complete(old, "yes", prompt)
        ann = await reads.read(make_user, "ann")
        fork = await runs.afork(old, position=position, by=ann)
        await hosting.prompts(fork)
        assert (await reads.read(Run.objects.get, pk=fork)).version == version


@pytest.mark.django_db(transaction=True)
async def test_a_run_of_a_version_that_is_gone_is_suspended_until_it_is_back() -> None:
    deploy(first)
    async with asking(NAME) as (hosting, run, prompt):
        await redeploy(hosting, second)
        await hosting.answer("yes", prompt)
        row = await hosting.until_ended(run)
        assert row.status == Run.Status.SUSPENDED
        assert problem(row)["message"].startswith("This is paused")
        assert f"Version 1 of the workflow '{NAME}'" in problem(row)["detail"]
        assert "declared are: 2. Declare it again beside them" in problem(row)["detail"]
        await redeploy(hosting, first, second)
        assert await runs.aresume(run, by=django_user("an operator"))
        assert await hosting.result(run) == "first 2"


def test_the_newest_is_what_people_see_in_whatever_order_they_are_declared() -> None:
    workflow(name=NAME, title="Version 2", version=2)(second)
    workflow(name=NAME, title="Version 1")(first)
    assert registry.declared_workflows()[NAME].title == "Version 2"
    assert [one.version for one in registry.declared_workflows()[NAME].versions] == [1, 2]


async def build(options: object) -> None:
    """Build nothing."""


def test_versions_must_share_builders_and_options() -> None:
    deploy(first)
    with pytest.raises(ImproperlyConfigured, match="version 1 has another builder"):
        workflow(name=NAME, title="Version 2", version=2, shared_builder=build)(second)
    with pytest.raises(ImproperlyConfigured, match="a number from 1"):
        workflow(name=NAME, title="Version 0", version=0)(second)

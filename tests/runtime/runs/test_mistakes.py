"""Tests of what authors get wrong at first: the error in the log and the admin says what to do."""

import json
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import ImproperlyConfigured

from sessions_app.models import Run
from sessions_app.sessions.runner import AWAIT, ORM
from sessions_app.workflows import Context, Message, TextPrompt, workflow
from tests.runtime.replay.deployed import Body, host_code
from tests.support.hosting import problem

pytestmark = pytest.mark.django_db(transaction=True)


async def no_await(context: Context) -> str:
    answer: Any = context.ask(TextPrompt(text="Name?"))
    return f"Hello {answer.text}"


async def sync_orm(context: Context) -> str:
    return f"{User.objects.count()} users"


async def gives_call(context: Context) -> Any:
    return context.ask(TextPrompt(text="Name?"))


async def gives_object(context: Context) -> Any:
    return object()


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        (no_await, AWAIT),
        (sync_orm, ORM),
        (gives_call, "gave a coroutine, which is not text and has no JSON form: is `await`"),
        (gives_object, "gave a object, which is not text and has no JSON form: give text"),
    ],
)
@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")
async def test_the_error_says_what_to_do(code: Body, advice: str) -> None:
    async with host_code(code) as hosting:
        run = await hosting.until_ended(await hosting.submit())
        assert run.status == Run.Status.FAILED
        assert advice in problem(run)["detail"]
        assert advice not in problem(run)["message"]  # that is for people


def parse(text: str) -> object:
    return json.loads(text)


@pytest.mark.parametrize("in_a_step", [False, True])
async def test_the_error_begins_with_the_authors_own_line(*, in_a_step: bool) -> None:
    """The first line is neither of the library that raised it, nor of this runtime."""

    async def parses(context: Context) -> str:
        return str(await context.step(parse, "{") if in_a_step else parse("here"))

    async with host_code(parses) as hosting:
        run = await hosting.until_ended(await hosting.submit())
        first, line, *_ = problem(run)["detail"].splitlines()
        assert "JSONDecodeError" in first
        assert line == f"It happened at line {LINE} of {__name__}, in parse."


LINE = parse.__code__.co_firstlineno + 1


def test_a_workflow_takes_a_message_and_a_context() -> None:
    async def only_message(message: Message) -> str:
        return message.text

    async def three(message: Message, context: Context, more: str) -> str:
        return more

    for function in (only_message, three):
        with pytest.raises(
            ImproperlyConfigured, match=r"takes \(message, context\), in this order"
        ):
            workflow(name="t_wrong", title="Wrong")(function)

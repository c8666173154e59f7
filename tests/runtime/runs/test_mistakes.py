"""What authors get wrong at first: the error in the log and the admin says what to do."""

import json
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import ImproperlyConfigured

from sessions_app.models import Run
from sessions_app.sessions.runner import AWAIT, ORM
from sessions_app.workflows import Context, Message, TextPrompt, workflow
from tests.support.hosting import Hosting, problem

pytestmark = pytest.mark.django_db(transaction=True)


@workflow(name="t_no_await", title="No await")
async def no_await(message: Message, context: Context) -> str:
    answer: Any = context.ask(TextPrompt(text="Name?"))
    return f"Hello {answer.text}"


@workflow(name="t_sync_orm", title="ORM")
async def sync_orm(message: Message, context: Context) -> str:
    return f"{User.objects.count()} users"


@workflow(name="t_yields_call", title="Yields a call")
async def yields_call(message: Message, context: Context) -> AsyncGenerator[Any, None]:
    yield context.ask(TextPrompt(text="Name?"))


@workflow(name="t_yields_object", title="Yields an object")
async def yields_object(message: Message, context: Context) -> AsyncGenerator[Any, None]:
    yield object()


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("t_no_await", AWAIT),
        ("t_sync_orm", ORM),
        ("t_yields_call", "gave a coroutine, which is no text and has no JSON form: is `await`"),
        ("t_yields_object", "gave a object, which is no text and has no JSON form: give text"),
    ],
)
@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")
async def test_the_error_says_what_to_do(name: str, advice: str) -> None:
    async with Hosting(name) as hosting:
        run = await hosting.ended(await hosting.submit())
        assert run.status == Run.Status.FAILED
        assert run.error is not None
        assert advice in run.error["detail"]
        assert advice not in run.error["message"]  # that is for people


def parse(text: str) -> object:
    return json.loads(text)


@workflow(name="t_parses", title="Parses")
async def parses(message: Message, context: Context) -> str:
    return str(parse(message.text) if message.text == "here" else await context.step(parse, "{"))


@pytest.mark.parametrize("text", ["here", "in a step"])
async def test_the_error_begins_with_the_authors_own_line(text: str) -> None:
    """Not with one of the library that raised it, nor of this runtime."""
    async with Hosting("t_parses") as hosting:
        run = await hosting.ended(await hosting.submit(text))
        first, line, *_ = problem(run)["detail"].splitlines()
        assert "JSONDecodeError" in first
        assert line == f"It came up at line {LINE} of {__name__}, in parse."


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

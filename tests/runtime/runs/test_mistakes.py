"""Tests of common mistakes of authors: the error in log and admin tells the remedy."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
import structlog
from django.contrib.auth.models import User
from django.core.exceptions import ImproperlyConfigured

from sessions_app.hosting import watchdog
from sessions_app.models import Run
from sessions_app.workflows import Context, Message, TextPrompt, registry, workflow
from sessions_app.workflows.steps import AWAIT, ORM
from tests.runtime.replay.deployed import Body, executed, host_code
from tests.support.hosting import problem, until_true

pytestmark = pytest.mark.django_db(transaction=True)


async def no_await(context: Context) -> str:
    answer: Any = context.ask(TextPrompt(text="Name?"))
    return f"Hello {answer.text}"


async def sync_orm(context: Context) -> str:
    return f"{User.objects.count()} users"


async def count_users() -> int:
    return User.objects.count()


async def stream_users() -> AsyncIterator[str]:
    yield str(User.objects.count())


async def sync_orm_in_an_async_step(context: Context) -> str:
    return f"{await context.step(count_users)} users"


async def sync_orm_in_a_stream(context: Context) -> str:
    return "".join([piece async for piece in context.stream(stream_users)])


async def gives_call(context: Context) -> Any:
    return context.ask(TextPrompt(text="Name?"))


async def gives_object(context: Context) -> Any:
    return object()


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        (no_await, AWAIT),
        (sync_orm, ORM),
        (sync_orm_in_an_async_step, ORM),
        (sync_orm_in_a_stream, ORM),
        (gives_call, "gave a coroutine, which is not text and has no JSON form: is `await`"),
        (gives_object, "gave a object, which is not text and has no JSON form: give text"),
    ],
)
@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")
async def test_the_error_says_what_to_do(code: Body, advice: str) -> None:
    async with host_code(code) as hosting:
        run = await hosting.until_ended(await hosting.submit())
        assert run.status == Run.Status.FAILED
        detail = problem(run)["detail"]
        # Our advice must come first, because Django's own advice is wrong in a workflow.
        assert advice in (detail.splitlines()[0] if advice == ORM else detail)
        assert advice not in problem(run)["message"]  # the message is for users, not for authors


def work() -> str:
    executed.append("work")
    return "done"


MISUSES: dict[str, tuple[Any, str]] = {
    "a text": (lambda context: context.ask("Your name?"), "context.ask(TextPrompt(text="),
    "a class": (lambda context: context.ask(TextPrompt), "context.ask(TextPrompt(text="),
    "texts": (lambda context: context.ask_all(["Name?", "Age?"]), "'Name?' is none"),
    "on one card": (
        lambda context: context.ask_all(["Name?", "Age?"], together="You"),
        "'Name?' is none",
    ),
    "retry": (lambda context: context.step(work, retry=3), "retry= takes Retry(attempts=3)"),
    "retry of a stream": (
        lambda context: anext(context.stream(stream_users, retry=3)),
        "retry= takes Retry(attempts=3)",
    ),
    "sleep until": (
        lambda context: context.sleep(context.now() + timedelta(hours=1)),
        "context.sleep() takes seconds as a number, and not a datetime: the seconds until a "
        "moment are (moment - context.now()).total_seconds()",
    ),
    "timeout of a step": (
        lambda context: context.step(work, timeout=timedelta(seconds=1)),
        "timeout= takes seconds as a number, and not a timedelta",
    ),
    "timeout of a wait": (
        lambda context: context.wait_for("parcel", timeout=timedelta(seconds=1)),
        "timeout= takes seconds as a number, and not a timedelta",
    ),
    "timeout of a run": (
        lambda context: context.run("t_deployed", "x", timeout=timedelta(seconds=1)),
        "timeout= takes seconds as a number, and not a timedelta",
    ),
}


@pytest.mark.parametrize(("call", "sentence"), MISUSES.values(), ids=MISUSES)
async def test_a_wrong_argument_is_refused_before_the_call(call: Any, sentence: str) -> None:
    async def body(context: Context) -> str:
        return str(await call(context))

    async with host_code(body) as hosting:
        run = await hosting.until_ended(await hosting.submit())
        assert run.status == Run.Status.FAILED
        first = problem(run)["detail"].splitlines()[0]
        assert first.startswith("TypeError: ")
        assert sentence in first
        assert [entry.name for entry in await hosting.journal(run.id) if entry.name != "now"] == []
        assert executed == []


async def test_the_log_names_a_run_that_works_for_long_without_a_call(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(watchdog, "QUIET", 0.2)
    monkeypatch.setattr(watchdog, "QUIET_LOOK", 0.01)
    ends = asyncio.Event()

    async def spins(context: Context) -> str:
        if context.message.text == "ask":
            return (await context.ask(TextPrompt(text="Name?"))).text
        while not ends.is_set():  # noqa: ASYNC110 - the mistake that is looked for
            await asyncio.sleep(0)
        return "at last"

    with structlog.testing.capture_logs() as logs:

        def quiet() -> list[Any]:
            return [line for line in logs if line["event"] == "run.quiet"]

        async with host_code(spins) as hosting:
            asking = await hosting.submit("ask", conversation="d")
            await hosting.prompts(asking)
            run = await hosting.submit()
            await until_true(quiet)
            ends.set()
            assert await hosting.result(run) == "at last"
        [line] = quiet()
        assert (line["run"], line["workflow"], line["calls"]) == (str(run), "t_deployed", 0)
        assert "context.sleep()" in line["remedy"]


def parse(text: str) -> object:
    return json.loads(text)


@pytest.mark.parametrize("in_a_step", [False, True])
async def test_the_error_begins_with_the_authors_own_line(*, in_a_step: bool) -> None:
    """The first line is neither the library's that raised the error, nor this runtime's."""

    async def parses(context: Context) -> str:
        return str(await context.step(parse, "{") if in_a_step else parse("here"))

    async with host_code(parses) as hosting:
        run = await hosting.until_ended(await hosting.submit())
        first, line, *_ = problem(run)["detail"].splitlines()
        assert "JSONDecodeError" in first
        assert line == f"At {__name__}:{LINE} in parse()."


LINE = parse.__code__.co_firstlineno + 1


async def swapped(context: Context, message: Message) -> str:
    return message.text


async def swapped_names(context, message):  # type: ignore[no-untyped-def]  # as authors may
    yield message.text


async def swapped_texts(context: "Context", message: "Message") -> str:
    return message.text


@pytest.mark.parametrize("function", [swapped, swapped_names, swapped_texts])
def test_arguments_in_the_wrong_order_are_refused_with_the_right_one(function: Any) -> None:
    right = r"\(message, context\), in this order, .*shout\(message: Message, context: Context\)"
    with pytest.raises(ImproperlyConfigured, match=rf"swapped.*{right}.*this takes \(context"):
        workflow(name="t_wrong", title="Wrong")(function)


async def only_message(message: Message) -> str:
    return message.text


async def three(message: Message, context: Context, more: str) -> str:
    return more


@pytest.mark.parametrize("function", [only_message, three])
def test_a_workflow_takes_a_message_and_a_context(function: Any) -> None:
    with pytest.raises(ImproperlyConfigured, match=r"takes \(message, context\), in this order"):
        workflow(name="t_wrong", title="Wrong")(function)


async def other_names(context: str, ctx: Context) -> str:
    return context


async def any_arguments(*arguments: Any) -> str:
    return str(arguments)


@pytest.mark.parametrize("function", [other_names, any_arguments])
def test_other_names_of_arguments_are_taken(function: Any) -> None:
    try:
        workflow(name="t_right", title="Right")(function)
    finally:
        registry._declared.pop("t_right", None)


def test_two_workflows_of_one_name_are_refused_with_both_places() -> None:
    async def first(message: Message, context: Context) -> str:
        return message.text

    async def second(message: Message, context: Context) -> str:
        return message.text

    try:
        for _ in range(2):  # importing a module again is not a second declaration
            workflow(name="t_twice", title="Twice")(first)
        line = first.__code__.co_firstlineno
        both = rf"second in {__file__}:{line + 3}: .* of that name already, in {__file__}:{line}\."
        with pytest.raises(ImproperlyConfigured, match=both):
            workflow(name="t_twice", title="Twice")(second)
        assert registry.declared_workflows()["t_twice"].function is first
        workflow(name="t_twice", title="Twice", version=2)(second)
    finally:
        registry._declared.pop("t_twice", None)


async def test_prompts_of_a_generator_are_asked() -> None:
    async def agent(context: Context) -> str:
        prompts: Any = (TextPrompt(text=text) for text in ("one", "two"))
        answers: Any = await context.ask_all(prompts)
        return f"{len(answers)} answers"

    async with host_code(agent) as hosting:
        run = await hosting.submit()
        assert len(await hosting.prompts(run, count=2)) == 2

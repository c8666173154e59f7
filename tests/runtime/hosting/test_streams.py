"""Tests of streamed steps: shown piece by piece, recorded at the end, never shown twice."""

import asyncio
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import pytest
from pytest_django import Settings

from sessions_app.hosting import run_writes
from sessions_app.hosting.output import HIGH_WATER
from sessions_app.hosting.run_writes import LeasedRun
from sessions_app.models import JournalEntry, Run
from sessions_app.storage import reads
from sessions_app.storage.transaction import Transaction
from sessions_app.workflows import (
    Context,
    Message,
    Reasoning,
    Retry,
    StepFailed,
    TextPrompt,
    workflow,
)
from sessions_app.workflows.registry import declared_workflows
from tests.support.hitl import set_hitl
from tests.support.hosting import Hosting, asking, problem, running, until_true
from tests.support.sessions import managing

pytestmark = pytest.mark.django_db(transaction=True)

Body = Callable[[Context], AsyncGenerator[Any, None]]
body: list[Body] = []
calls: list[str] = []


@dataclass
class ToolCall:
    tool: str


async def answer(*words: str) -> AsyncIterator[str]:
    calls.append("answer")
    for word in words:
        yield word


async def answer_and_call(tool: str) -> AsyncIterator[Reasoning | str | ToolCall]:
    calls.append("call")
    yield Reasoning("First ")
    yield Reasoning("think.")
    yield "Looking."
    yield ToolCall(tool)


def in_a_thread(*words: str) -> Iterator[str]:
    yield from words


async def breaks(word: str) -> AsyncIterator[str]:
    yield word
    raise OSError("the line is dead")


@workflow(name="t_streams", title="Whatever streams")
async def streams(message: Message, context: Context) -> AsyncGenerator[Any, None]:
    async with aclosing(body[0](context)) as chunks:
        async for chunk in chunks:
            yield chunk


def hosting_of(code: Body) -> Hosting:
    body[:], calls[:] = [code], []
    return Hosting("t_streams")


@workflow(name="t_streams_whole", title="Streams, and returns")
async def whole(message: Message, context: Context) -> str:
    await _end([piece async for piece in context.stream(answer, "a ", "b ")], context)
    return "".join([piece async for piece in context.stream(answer, "c ", "d")])


async def _end(pieces: list[str], context: Context) -> None:
    assert await goes_on(context) == "yes"


async def goes_on(context: Context) -> str:
    return (await context.ask(TextPrompt(text="Go on?"))).text


async def shown(context: Context) -> AsyncGenerator[str, None]:
    async for _ in context.stream(answer, "a ", "b "):
        pass
    yield await goes_on(context)


async def yielded(context: Context) -> AsyncGenerator[str, None]:
    async for piece in context.stream(answer, "a ", "b "):
        yield piece
    yield await goes_on(context)


async def changed(context: Context) -> AsyncGenerator[str, None]:
    async for piece in context.stream(answer, "A ", "B ", show=False):
        yield piece.lower()
    yield await goes_on(context)


async def left_early(context: Context) -> AsyncGenerator[str, None]:
    async for piece in context.stream(answer, "a ", "b ", "c "):
        if piece.startswith("b"):
            break
    yield await goes_on(context)


async def threaded(context: Context) -> AsyncGenerator[str, None]:
    async for _ in context.stream(in_a_thread, "a ", "b "):
        pass
    yield await goes_on(context)


async def failing(context: Context) -> AsyncGenerator[str, None]:
    error_type = "no error"
    try:
        async for _ in context.stream(breaks, "a "):
            pass
    except StepFailed as error:
        error_type = error.error_type
        yield "b "
    answer = await goes_on(context)
    yield answer if error_type == "OSError" else error_type


@pytest.mark.parametrize("form", [shown, yielded, changed, left_early, threaded, failing])
async def test_a_stream_is_shown_once_however_it_is_read_and_replayed(form: Body) -> None:
    async with asking(hosting_of(form)) as (hosting, run, _):
        assert await hosting.output(run) == "a b "
        assert await hosting.complete(run, "yes", restart=True) == "a b yes"
        assert len(calls) <= 1


@pytest.mark.parametrize(("until", "expected_text"), [("C", "a b c"), ("A ", "a c")])
async def test_what_is_yielded_beside_the_last_recorded_stream_is_shown_once(
    until: str, expected_text: str
) -> None:
    async def lowers(context: Context) -> AsyncGenerator[str, None]:
        async for piece in context.stream(answer, "A ", "B ", show=False):
            yield piece.lower()
            if piece == until:
                break
        yield "c"

    hosting_of(lowers)
    async with Hosting("t_streams", replay_everywhere=True) as hosting:
        assert await hosting.reply_to() == expected_text


async def test_a_streamed_return_value_is_not_shown_again() -> None:
    async with asking("t_streams_whole") as (hosting, run, _):
        assert await hosting.complete(run, "yes", restart=True) == "a b c d"


async def test_pieces_that_are_no_text_are_the_workflows_alone_and_keep_their_type() -> None:
    received_pieces: list[list[Any]] = []

    async def agent(context: Context) -> AsyncGenerator[str, None]:
        received_pieces.append([piece async for piece in context.stream(answer_and_call, "search")])
        yield await goes_on(context)

    async with asking(hosting_of(agent)) as (hosting, run, _):
        assert await hosting.complete(run, " Done.", restart=True) == "Looking. Done."
        steps = [e.payload for e in await hosting.events() if e.type == "step"]
    first, again = received_pieces
    assert first == again
    assert first == [Reasoning("First "), Reasoning("think."), "Looking.", ToolCall("search")]
    assert [(s["name"], s["state"], s["payload"]) for s in steps] == [
        ("Reasoning", "in_progress", ""),
        ("Reasoning", "complete", "First think."),
    ]
    assert steps[0]["step_id"] == steps[1]["step_id"]
    assert calls == ["call"]


async def test_reasoning_that_a_workflow_yields_is_shown_as_steps_and_not_in_the_text() -> None:
    async def thinks(context: Context) -> AsyncGenerator[Any, None]:
        yield Reasoning("Is it ")
        yield Reasoning("so?")
        yield f"{await goes_on(context)}, "
        async for piece in context.stream(answer_and_call, "search"):
            if not isinstance(piece, ToolCall):
                yield piece
        yield Reasoning("It is.")

    async with asking(hosting_of(thinks)) as (hosting, run, _):
        before = [e.payload["state"] for e in await hosting.events() if e.type == "step"]
        # The step is complete while the question waits.
        assert before == ["in_progress", "complete"]
        assert await hosting.complete(run, "yes", restart=True) == "yes, Looking."
        steps = [e.payload for e in await hosting.events() if e.type == "step"]
    ended = [(s["step_id"], s["payload"]) for s in steps if s["state"] == "complete"]
    assert [payload for _, payload in ended] == ["Is it so?", "First think.", "It is."]
    assert len({step_id for step_id, _ in ended}) == 3


async def _steps_in_the_loop(context: Context) -> None:
    async for _ in context.stream(answer, "a"):
        await context.step(str, 1)


async def _shows_in_the_loop(context: Context) -> None:
    async for _ in context.stream(answer, "a"):
        context.show("seen")


@pytest.mark.parametrize("call", [_steps_in_the_loop, _shows_in_the_loop])
async def test_a_call_in_the_loop_is_refused(call: Callable[[Context], Awaitable[None]]) -> None:
    async def calling(context: Context) -> AsyncGenerator[str, None]:
        await call(context)
        yield "never"

    async with hosting_of(calling) as hosting:
        run = await hosting.until_ended(await hosting.submit())
        assert run.status == Run.Status.FAILED
        assert "while the stream answer was being read" in problem(run)["message"]


def flaky(failures: int, after: int) -> Callable[[], AsyncIterator[str]]:
    """Yield the pieces of a stream that breaks so many times, each time after so many pieces."""

    async def say() -> AsyncIterator[str]:
        calls.append("say")
        for number in range(after):
            yield f"{number} "
        if len(calls) <= failures:
            raise OSError("overloaded")
        yield "said "

    return say


def busy_then(pieces: Callable[[], Any]) -> Callable[[], Any]:
    """Return a plain function that fails once to open the stream."""

    def open_stream() -> Any:
        calls.append("open")
        if len(calls) == 1:
            raise OSError("overloaded")
        return pieces()

    return open_stream


@pytest.mark.parametrize(
    ("make", "expected_text", "tried"),
    [
        (lambda: flaky(2, after=0), "said yes", 3),
        (lambda: flaky(3, after=0), "OSError yes", 3),
        (lambda: flaky(1, after=2), "0 1 OSError yes", 1),
        (lambda: busy_then(lambda: iter(["said "])), "said yes", 2),
    ],
)
async def test_a_stream_is_tried_again_until_its_first_piece(
    make: Callable[[], Callable[[], AsyncIterator[str]]], expected_text: str, tried: int
) -> None:
    async def talk(context: Context) -> AsyncGenerator[str, None]:
        try:
            async for _ in context.stream(make(), name="talk", retry=Retry(attempts=3, wait=0)):
                pass
        except StepFailed as error:
            yield f"{error.error_type} "
        yield await goes_on(context)

    async with asking(hosting_of(talk)) as (hosting, run, _):
        assert await hosting.complete(run, "yes", restart=True) == expected_text
        recorded_step = await reads.read(lambda: JournalEntry.objects.get(run=run, kind="stream"))
    assert len(calls) == recorded_step.attempts == tried


async def test_the_tries_of_a_stream_share_its_timeout() -> None:
    async def impatient(context: Context) -> AsyncGenerator[str, None]:
        how = Retry(attempts=100, wait=600)
        try:
            async for _ in context.stream(flaky(100, after=0), retry=how, timeout=0.1):
                pass
        except StepFailed as error:
            yield error.error_type

    async with hosting_of(impatient) as hosting:
        assert await hosting.reply_to() == "TimeoutError"


async def test_a_workflow_that_is_faster_than_the_database_waits_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    appending, gate, piece = threading.Event(), threading.Event(), "x" * 10_000
    append = run_writes.append_text

    def wait_and_append(tx: Transaction, leased: LeasedRun, text: str) -> int:
        appending.set()
        gate.wait(10)
        return append(tx, leased, text)

    async def fast(context: Context) -> AsyncGenerator[str, None]:
        for _ in range(100):
            calls.append("piece")
            yield piece

    monkeypatch.setattr(run_writes, "append_text", wait_and_append)
    async with running(hosting_of(fast)) as (hosting, run):
        await until_true(lambda: appending.is_set())
        for _ in range(1000):  # turns of the event loop, in which the workflow could go on
            await asyncio.sleep(0)
        yielded_count = len(calls)
        gate.set()
        assert yielded_count < 2 * HIGH_WATER / len(piece)
        assert await hosting.result(run) == 100 * piece


async def endless() -> AsyncIterator[str]:
    while True:
        yield "x" * 100


async def test_a_stream_that_is_too_large_names_the_step(settings: Settings) -> None:
    async def much(context: Context) -> AsyncGenerator[str, None]:
        async for piece in context.stream(endless):
            yield piece

    set_hitl(settings, MAX_STEP_RESULT=1000)
    async with hosting_of(much) as hosting:
        run = await hosting.until_ended(await hosting.submit())
        assert problem(run)["message"] == (
            "Step endless failed: TooLarge: The stream has more than 1,000 characters, "
            "which is what MAX_STEP_RESULT in HITL allows."
        )


async def _nobody(prompt: object) -> str:
    return " yes"


@pytest.mark.parametrize("form", [shown, yielded, changed])
async def test_a_script_reads_what_a_workflow_streams(form: Body) -> None:
    body[:] = [form]
    async with (
        managing(declared_workflows()["t_streams"]) as manager,
        manager.run("hi", user_input_callback=_nobody) as runner,
    ):
        assert "".join([chunk async for chunk in runner.result_stream()]) == "a b  yes"

"""Tests of a run's view of its request: set exactly for this run."""

import asyncio
import contextvars
import gc
import weakref
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.test import AsyncRequestFactory, RequestFactory

from sessions_app.errors import NoRun, RunEnded, SessionsError
from sessions_app.workflows import Context, Message, TextPrompt
from sessions_app.workflows.context import RuntimeTypeEnum, current_context
from sessions_app.workflows.request_context import (
    current_request,
    workflow_parent_id,
    workflow_parent_name,
)
from tests.support.sessions import Log, declare, managing, managing_with_log, say

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACEPARENT = f"00-{TRACE_ID}-00f067aa0ba902b7-01"
HEADERS = {
    "conversation-id": "c7",
    "user-message-id": "m7",
    "workflow-run-id": "r7",
    "workflow-parent-id": "p7",
    "workflow-parent-name": "caller",
    "traceparent": TRACEPARENT,
    "tracestate": "vendor=1",
}
VARIABLES: list[contextvars.ContextVar[Any]] = [
    current_context,
    current_request,
    workflow_parent_id,
    workflow_parent_name,
]


def surroundings() -> list[Any]:
    return [variable.get() for variable in VARIABLES]


async def tell(message: Message, context: Context) -> dict[str, Any]:
    assert Context.get() is context
    return {
        "user": context.user_id,
        "conversation": context.conversation_id,
        "message": context.user_message_id,
        "run": context.workflow_run_id,
        "trace": f"{context.workflow_trace_id:032x}",
        "parent": (context.workflow_parent_id, context.workflow_parent_name),
        "type": context.runtime_type.value,
        "request": context.metadata,
        "send": context.trace.headers,
    }


async def tell_person(message: Message, context: Context) -> dict[str, Any]:
    return {"person": context.user.id}


def websocket(headers: dict[str, str], **scope: Any) -> dict[str, Any]:
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    return {
        "type": "websocket",
        "path": "/websocket",
        "query_string": b"a=1&a=2&b=",
        "headers": raw,
        "client": ("10.0.0.1", 1234),
        **scope,
    }


async def test_a_django_request_is_read_into_the_context() -> None:
    request = AsyncRequestFactory().post("/chat?a=1&b=2", headers=HEADERS)
    request.COOKIES["k"] = "v"

    async def auser() -> User:
        return User(pk=5, username="ann")

    request.auser = auser
    async with managing(declare(tell)) as manager:
        values = await say(manager, http_connection=request)
    metadata = values["request"]
    assert (metadata.method, metadata.url_path) == ("POST", "/chat")
    assert metadata.query_params == {"a": "1", "b": "2"}
    assert metadata.cookies["k"] == "v"
    assert metadata.headers["Workflow-Run-ID"] == "r7"
    assert metadata.client_host == "127.0.0.1"
    check_ids(values)
    assert values["user"] == "5"


def check_ids(values: dict[str, Any]) -> None:
    assert values["conversation"] == "c7"
    assert values["message"] == "m7"
    assert values["run"] == "r7"
    assert values["trace"] == TRACE_ID
    assert values["parent"] == ("p7", "caller")
    assert values["send"]["traceparent"].startswith(f"00-{TRACE_ID}-")
    assert values["send"]["traceparent"] != TRACEPARENT  # a new span in the same trace
    assert values["send"]["tracestate"] == "vendor=1"


async def test_arguments_of_session_override_the_request() -> None:
    request = RequestFactory().get("/", headers=HEADERS)
    request.user = User(pk=5, username="ann")
    async with (
        managing(declare(tell)) as manager,
        manager.session(
            "6", http_connection=request, conversation_id="mine", user_message_id="m"
        ) as session,
        session.run("x", RuntimeTypeEnum.EVALUATE, "p", "name") as runner,
    ):
        assert (session.user_id, session.workflow.name) == ("6", "tell")
        assert session.session_manager is manager
        values = await runner.result()
    assert (values["user"], values["conversation"], values["message"]) == ("6", "mine", "m")
    assert (values["parent"], values["type"]) == (("p", "name"), "evaluate")


class ByMethod:
    def get_user_id(self) -> str:
        return "by-method"


class ByAttribute:
    user_id = 12


@pytest.mark.parametrize(
    ("identity", "user"),
    [
        ({"user_id": "6"}, "6"),
        ({"user_id": 0}, "0"),
        ({}, "4"),
        ({"user_manager": AnonymousUser()}, ""),
        ({"user_manager": ByMethod()}, "by-method"),
        ({"user_manager": ByAttribute()}, "12"),
    ],
)
async def test_a_user_id_stands_before_a_user_manager_and_that_before_the_request(
    identity: dict[str, Any], user: str
) -> None:
    request = RequestFactory().get("/")
    request.user = User(pk=5, username="ann")
    by_manager = {"user_manager": User(pk=4, username="ben"), "http_connection": request}
    async with managing(declare(tell)) as manager:
        assert (await say(manager, **{**by_manager, **identity}))["user"] == user


async def test_only_a_plain_number_is_read_as_a_primary_key() -> None:
    async with managing(declare(tell_person)) as manager:
        for user_id, person in (("7", 7), (7, 7), ("007", "007"), ("\u0667",) * 2, ("ann", "ann")):
            assert (await say(manager, user_id=user_id))["person"] == person


@pytest.mark.parametrize(
    "identity", [{}, {"user_id": ""}, {"user_manager": AnonymousUser()}, {"http_connection": {}}]
)
async def test_a_per_user_workflow_without_a_user_is_an_error_that_tells_how(identity: Any) -> None:
    async with managing(declare(tell, per_user_builder=Log().build)) as manager:
        with pytest.raises(ValueError, match="give session\\(\\) a user_id, a user_manager"):
            await say(manager, **identity)
        with pytest.raises(ValueError, match="per-user"):
            _ = manager.workflow


async def test_metadata_set_by_hand_is_of_the_sessions_that_follow() -> None:
    async def serve() -> dict[str, Any]:
        request = RequestFactory().get("/by/hand", headers=HEADERS)
        tokens = await manager.set_metadata_from_http_request(request)
        context_fields = await say(manager)
        token_id, token_name = tokens
        assert token_id is not None
        assert token_name is not None
        workflow_parent_id.reset(token_id)
        workflow_parent_name.reset(token_name)
        assert (await say(manager))["parent"] == (None, None)
        manager.set_metadata_from_websocket(websocket({}), "m", "c")
        assert (await say(manager))["message"] == "m"
        return dict(context_fields)

    async with managing(declare(tell)) as manager:
        context_fields = await asyncio.create_task(serve())
    assert context_fields["request"].url_path == "/by/hand"
    check_ids(context_fields)


async def test_a_session_restores_the_context_however_it_ends() -> None:
    request = RequestFactory().get("/", headers=HEADERS)

    async def fail(message: Message, context: Context) -> str:
        if message.text == "raise":
            raise KeyError(message.text)
        await asyncio.Event().wait()
        return ""

    async with managing(declare(fail)) as manager:
        before = surroundings()
        with pytest.raises(KeyError):  # noqa: PT012 - the way out of the block is what is tested
            async with manager.run("raise", http_connection=request) as runner:
                assert Context.get() is runner.context
                assert surroundings() != before
                await runner.result()
        assert surroundings() == before
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01), manager.run("wait", http_connection=request) as run:
                await run.result()
        assert surroundings() == before
        with pytest.raises(NoRun):
            Context.get()


async def test_two_runs_of_one_user_at_once_share_the_builder_and_nothing_else() -> None:
    log = Log()
    met = asyncio.Barrier(2)

    async def meet(message: Message, context: Context) -> AsyncGenerator[str, None]:
        for _ in range(3):
            await met.wait()
            here = Context.get()
            yield f"{here.message.text}{here.conversation_id}{here.builder.name} "

    async with managing(declare(meet, per_user_builder=log.build)) as manager:
        both = [say(manager, one, user_id="ann", conversation_id=f"-{one}-") for one in "ab"]
        outputs = list(await asyncio.gather(*both))
        assert outputs == ["a-a-ann#1 " * 3, "b-b-ann#1 " * 3]
    assert log.entries == ["ann building", "ann built", "ann closed"]


mine: contextvars.ContextVar[str] = contextvars.ContextVar("mine", default="outside")


async def stream(message: Message, context: Context) -> AsyncGenerator[str, None]:
    mine.set("inside")
    try:
        for number in range(3):
            yield f"{Context.get().conversation_id}{number}{mine.get()}"
    finally:
        ended.append((current_context.get() is context, mine.get()))


ended: list[Any] = []


async def test_a_stream_has_its_context_whichever_task_asks_for_its_chunks() -> None:
    ended.clear()
    async with (
        managing(declare(stream)) as manager,
        manager.run("x", conversation_id="c") as runner,
        aclosing(runner.result_stream()) as chunks,
    ):
        alone = contextvars.Context()
        first = await asyncio.get_running_loop().create_task(take(chunks), context=alone)
        second = await take(chunks)
        third = await asyncio.create_task(take(chunks))
        assert [first, second, third] == [f"c{number}inside" for number in range(3)]
        assert mine.get() == "outside"
    assert ended == [(True, "inside")]


async def take(chunks: AsyncGenerator[str, None]) -> str:
    return await anext(chunks)


async def test_a_stream_that_is_left_in_the_middle_is_closed_before_its_session_ends() -> None:
    ended.clear()
    async with managing_with_log(stream) as (manager, _), manager.session("ann") as session:
        async with session.run("x") as runner:
            async for _ in runner.result_stream():
                break
        assert ended == [(True, "inside")]
        info = manager.builders["ann"]
        assert (info.total_requests, info.error_count, info.ref_count) == (1, 0, 1)


async def test_a_session_in_a_generator_that_another_task_closes_gives_all_back() -> None:
    async with managing_with_log(tell) as (manager, _):

        async def serve() -> AsyncGenerator[str, None]:
            async with manager.session("ann"):
                yield "held"

        serving = serve()
        await asyncio.create_task(take(serving))
        assert manager.builders["ann"].ref_count == 1
        await asyncio.create_task(serving.aclose())
        assert manager.builders["ann"].ref_count == 0


async def test_a_run_that_another_run_starts_is_of_its_trace_and_has_no_parent_of_its() -> None:
    async with managing(declare(tell)) as inner:

        async def call(message: Message, context: Context) -> Any:
            context_fields = await say(inner)
            assert Context.get() is context
            return context_fields

        async with managing(declare(call)) as outer:
            context_fields = await say(
                outer, http_connection=RequestFactory().get("/outer", headers=HEADERS)
            )
    assert (context_fields["trace"], context_fields["parent"]) == (TRACE_ID, (None, None))
    assert context_fields["run"] != "r7"
    assert context_fields["request"].url_path is None


async def test_a_result_is_taken_once_and_can_be_converted() -> None:
    async def number(message: Message, context: Context) -> str:
        return message.text

    async with managing(declare(number)) as manager:
        async with manager.run("42") as runner:
            assert await runner.result(to_type=int) == 42
            with pytest.raises(SessionsError, match="read already"):
                await runner.result()
        async with manager.run("42") as runner:
            assert [chunk async for chunk in runner.result_stream()] == ["42"]


async def test_nothing_is_kept_after_the_run_ended() -> None:
    class Payload:
        pass

    alive: list[weakref.ref[Any]] = []

    async def hold(message: Message, context: Context) -> str:
        payload = Payload()
        alive.extend([weakref.ref(payload), weakref.ref(context)])
        await context.ask(TextPrompt(text="?"))
        if message.text == "fail":
            raise KeyError(payload)
        return "x"

    async def answer(prompt: Any) -> str:
        return "yes"

    async with managing_with_log(hold) as (manager, _):
        for text in ("go", "fail"):
            try:
                async with manager.run(text, user_id="ann", user_input_callback=answer) as runner:
                    await runner.result()
            except KeyError:
                pass
            context = runner.context
            del runner
            with pytest.raises(RunEnded):
                context.now()
            with pytest.raises(RunEnded):
                _ = context.builder
            del context
        await asyncio.sleep(0)  # the event loop drops its last reference to this task's waker
        gc.collect()
        assert [one() for one in alive] == [None] * 4
        assert not manager._pool._opened


async def test_a_block_that_is_left_while_another_task_reads_ends_the_context() -> None:
    stuck = asyncio.Event()

    async def wait(message: Message, context: Context) -> AsyncGenerator[str, None]:
        yield "first"
        await stuck.wait()
        yield context.builder.name

    async with managing_with_log(wait) as (manager, _):
        async with manager.run("x", user_id="ann") as runner:
            chunks = runner.result_stream()
            await take(chunks)
            reading = asyncio.create_task(take(chunks))
            await asyncio.sleep(0)
        stuck.set()
        with pytest.raises(RunEnded):
            await reading
        assert manager.builders["ann"].ref_count == 0


async def test_clean_up_after_a_block_was_left_cannot_call_the_context() -> None:
    refusals: list[RunEnded] = []

    async def tidy(message: Message, context: Context) -> AsyncGenerator[str, None]:
        try:
            yield "first"
        finally:
            with pytest.raises(RunEnded) as refusal:
                context.now()
            refusals.append(refusal.value)

    async with managing_with_log(tidy) as (manager, _):
        async with manager.run("x", user_id="ann") as runner:
            await take(runner.result_stream())
        assert refusals

"""Tests that scripts for the toolkit's session API run: constructors, attributes, callbacks."""

import asyncio
import inspect
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.contrib.auth.models import User
from django.test import RequestFactory

from sessions_app.sessions import PerUserBuilderInfo, RuntimeTypeEnum, Session, SessionManager
from sessions_app.sessions.script_backend import user_input_callback
from sessions_app.workflows import Context, Message, TextPrompt
from sessions_app.workflows.config import WorkflowConfig
from sessions_app.workflows.registry import Workflow
from sessions_app.workflows.request_context import workflow_parent_id, workflow_parent_name
from tests.support.sessions import Log, declare, free, managing


async def echo(message: Message, context: Context) -> str:
    return f"{context.user_id}: {message.text}"


def per_user(log: Log | None = None) -> Workflow:
    return declare(echo, per_user_builder=(log or Log()).build)


def test_a_manager_is_made_as_the_toolkits_is() -> None:
    config, shared, workflow = WorkflowConfig(), object(), declare(echo)
    manager = SessionManager(
        config=config,
        shared_builder=shared,
        entry_function=None,
        shared_workflow=workflow,
        max_concurrency=3,
        runtime_type=RuntimeTypeEnum.EVALUATE,
    )
    assert manager.shared_builder is manager._shared_builder is shared
    assert manager.workflow is manager._shared_workflow is workflow
    assert manager.is_workflow_per_user is manager._is_workflow_per_user is False
    assert (manager._entry_function, manager._max_concurrency) == (None, 3)
    assert manager._runtime_type == manager.runtime_type == RuntimeTypeEnum.EVALUATE
    assert manager.config is manager._config
    assert manager._per_user_builders == {}
    assert manager._per_user_builders_cleanup_task is None
    assert free(manager._semaphore) == 3
    assert SessionManager(config, shared, "calculator")._entry_function == "calculator"


def test_a_manager_of_a_per_user_workflow_has_no_shared_one() -> None:
    manager = SessionManager(WorkflowConfig(per_user_idle=60), None, per_user())
    assert manager.is_workflow_per_user
    assert manager._shared_workflow is None
    with pytest.raises(ValueError, match="Workflow is per-user"):
        _ = manager.workflow
    assert manager._per_user_session_timeout == timedelta(seconds=60)
    assert manager._per_user_session_cleanup_interval == timedelta(seconds=30)


async def test_no_limit_is_a_null_context() -> None:
    for workflow in (declare(echo), per_user()):
        async with managing(workflow) as limited, limited.session("ann") as session:
            assert isinstance(session._semaphore, asyncio.Semaphore)
        manager = SessionManager(None, None, workflow, max_concurrency=0)
        assert isinstance(manager._semaphore, nullcontext)
        async with manager.session("ann") as session:
            assert isinstance(session._semaphore, nullcontext)
            for _ in range(20):
                runs = [session.run(str(number)) for number in range(20)]
                runners = await asyncio.gather(*(run.__aenter__() for run in runs))
                assert await runners[7].result() == "ann: 7"
                for run in runs:
                    await run.__aexit__(None, None, None)
        await manager.shutdown()


async def test_a_session_is_made_as_the_toolkits_is() -> None:
    manager, workflow = SessionManager(None, None, declare(echo)), declare(echo)
    own = asyncio.Semaphore(1)
    session = Session(session_manager=manager, workflow=workflow, semaphore=own, user_id="user123")
    assert (session.user_id, session.workflow, session._semaphore) == ("user123", workflow, own)
    assert session.session_manager is session._session_manager is manager
    async with session.run("hello") as runner:
        assert own.locked()
        assert await runner.result() == "user123: hello"
    assert not own.locked()
    unlimited = Session(manager, workflow, nullcontext())
    assert unlimited.user_id is None
    async with unlimited.run("hello") as runner:
        assert await runner.result() == ": hello"


async def test_the_record_of_a_builder_has_times() -> None:
    before = datetime.now(UTC)
    info = PerUserBuilderInfo(builder=None, workflow=None, semaphore=asyncio.Semaphore(8))
    for at in (info.created_at, info.last_activity):
        assert before <= at <= datetime.now(UTC)
    at = datetime(2026, 1, 1, 12, tzinfo=UTC)
    info = PerUserBuilderInfo(
        builder=None, workflow=None, semaphore=nullcontext(), last_activity=at, lock=asyncio.Lock()
    )
    assert abs(info.last_activity - at) < timedelta(minutes=1)


async def test_clean_up_closes_idle_builders_that_are_not_in_use() -> None:
    manager = SessionManager(WorkflowConfig(per_user_idle=1), None, per_user())
    async with manager.session(user_id="user123"):
        pass
    for ago in (timedelta(0), timedelta(seconds=10)):
        # The toolkit's times are local and have no time zone.
        local = datetime.now() - ago  # noqa: DTZ005 - as scripts for it do
        manager._per_user_builders["user123"].last_activity = local
        async with manager.session(user_id="user123"):
            assert await manager._cleanup_inactive_per_user_builders() == 0
        manager._per_user_builders["user123"].last_activity = local
        assert await manager._cleanup_inactive_per_user_builders() == bool(ago)
    await manager.shutdown()
    assert manager._per_user_builders == {}


async def test_a_clock_that_is_set_evicts_nobody() -> None:
    manager = SessionManager(WorkflowConfig(per_user_idle=3600), None, per_user())
    async with manager.session(user_id="user123"):
        pass
    with time_machine.travel(datetime.now(UTC) + timedelta(days=3), tick=True):
        assert await manager._cleanup_inactive_per_user_builders() == 0
        last_activity = manager._per_user_builders["user123"].last_activity
        assert datetime.now(UTC) - last_activity < timedelta(minutes=1)
    await manager.shutdown()


async def test_an_idle_time_of_zero_keeps_a_builder_while_it_is_used_and_no_longer() -> None:
    log = Log()
    async with managing(per_user(log), per_user_idle=0) as manager:
        task = manager._per_user_builders_cleanup_task
        assert task is not None
        async with manager.session("ann"):
            assert await manager._cleanup_inactive_per_user_builders() == 0
        await manager._cleanup_inactive_per_user_builders()
        await log.until("ann closed")
    assert task.done()


async def test_a_builder_is_got_or_made_with_its_workflow() -> None:
    log = Log()
    async with managing(per_user(log)) as manager:
        builder, workflow = await manager._get_or_create_per_user_builder("ann")
        assert manager._per_user_builders["ann"].builder is builder
        assert manager._per_user_builders["ann"].ref_count == 0
        async with manager.session("ann") as session:
            assert session.workflow is workflow
        assert await manager._get_or_create_per_user_builder("ann") == (builder, workflow)
    assert log.entries.count("ann building") == 1


async def test_a_session_in_another_is_of_the_same_user_and_asks_the_same_person() -> None:
    async def ask(message: Message, context: Context) -> str:
        answer = await context.ask(TextPrompt(text="?"))
        return f"{context.user.username} {answer.text}"

    async def call(message: Message, context: Context) -> Any:
        async with inner.run("x") as runner:
            return await runner.result()

    async def answer(prompt: Any) -> str:
        return "yes"

    inner_workflow = declare(ask, per_user_builder=Log().build)
    async with managing(inner_workflow) as inner, managing(declare(call)) as outer:
        person = User(pk=5, username="ann")
        async with (
            outer.session(user_manager=person, user_input_callback=answer) as session,
            session.run("x") as runner,
        ):
            assert user_input_callback.get() is answer
            assert outer._get_user_id_from_context() == "5"
            assert await runner.result() == "ann yes"
            # A session beside the run, within the outer session.
            async with inner.session() as nested:
                assert nested.user_id == "5"
            async with inner.session("6") as nested:
                assert nested.user_id == "6"
        assert user_input_callback.get() is None
        assert outer._get_user_id_from_context() is None


async def test_a_session_in_a_run_is_of_the_runs_user_whoever_is_served_around_it() -> None:
    async def call(message: Message, context: Context) -> str:
        async with manager.session() as nested:
            return str(nested.user_id)

    async with (
        managing(declare(call)) as manager,
        manager.session("ann") as session,
        manager.session("ben"),
        session.run("x") as runner,
    ):
        assert await runner.result() == "ann"


async def test_sessions_after_setting_metadata_belong_to_the_requests_user() -> None:
    async def serve(pk: int) -> None:
        request = RequestFactory().get("/")
        request.user = User(pk=pk, username=f"u{pk}")
        assert await manager.set_metadata_from_http_request(request) == (None, None)
        async with manager.session() as session:
            assert session.user_id == str(pk)
        scope = {"type": "websocket", "headers": [], "user": User(pk=pk + 1, username="w")}
        manager.set_metadata_from_websocket(scope, None, None)
        async with manager.session() as session:
            assert session.user_id == str(pk + 1)
        async with manager.session("ann"):
            await manager.set_metadata_from_http_request(request)
            async with manager.session() as session:  # the user of the session takes precedence
                assert session.user_id == "ann"
            request.user = User(pk=9, username="u9")
            async with manager.session(None, None, request) as session:
                assert session.user_id == "9"

    async with managing(per_user()) as manager:
        for pk in (1, 7):  # the second request of the same task must not get the first one's user
            await serve(pk)


async def test_a_websocket_is_set_with_cookies_that_were_read_before() -> None:
    class Socket:
        scope = {
            "type": "websocket",
            "scheme": "wss",
            "path": "/websocket",
            "query_string": b"a=1",
            "headers": [
                (b"host", b"chat.example:8443"),
                # HTTP/2 may send several cookie headers.
                *((b"cookie", b"nat-session=raw"), (b"cookie", b"b=2")),
                *((b"accept", b"text/plain"), (b"accept", b"text/html")),
            ],
            "client": ("10.0.0.1", 1234),
            "url_route": {"kwargs": {"room": "r"}},
        }

    async def tell(message: Message, context: Context) -> Any:
        return (context.user_message_id, context.conversation_id, context.metadata)

    async with managing(declare(tell)) as manager:
        cookies = {"nat-session": "read"}
        assert inspect.signature(manager.set_metadata_from_websocket).return_annotation is None
        manager.set_metadata_from_websocket(Socket(), "m1", "c1", pre_parsed_cookies=cookies)
        async with manager.run("x") as runner:
            message, conversation, metadata = await runner.result()
        assert (message, conversation) == ("m1", "c1")
        assert metadata.cookies == cookies
        assert (metadata.url_scheme, metadata.url_port, metadata.url_path) == (
            "wss",
            8443,
            "/websocket",
        )
        assert (metadata.client_host, metadata.client_port) == ("10.0.0.1", 1234)
        assert (metadata.query_params, metadata.path_params) == ({"a": "1"}, {"room": "r"})
        assert (metadata.method, metadata.payload) == (None, None)
        assert metadata.headers["accept"] == "text/plain, text/html"
        manager.set_metadata_from_websocket(Socket.scope, None, None)
        async with manager.run("x") as runner:
            assert (await runner.result())[2].cookies == {"nat-session": "raw", "b": "2"}


@pytest.mark.parametrize(
    ("body", "payload"),
    [('{"a": [1]}', {"a": [1]}), ("no JSON", None), ("[" * 100_000, None), ("", None)],
)
async def test_a_requests_body_is_its_payload(body: str, payload: Any) -> None:
    request = RequestFactory(SERVER_NAME="h", HTTP_HOST="h:81").post(
        "/generate?q=1", body, content_type="application/json", secure=True
    )
    async with (
        managing(declare(echo)) as manager,
        manager.run("x", http_connection=request) as runner,
    ):
        metadata = runner.context.metadata
    assert metadata.payload == payload
    assert (metadata.method, metadata.url_scheme, metadata.url_port) == ("POST", "https", 81)


async def test_the_parent_that_run_is_given_is_set_for_its_block() -> None:
    async with managing(declare(echo)) as manager, manager.session() as session:
        async with session.run("hello", parent_id="p", parent_name="Caller") as runner:
            assert (workflow_parent_id.get(), workflow_parent_name.get()) == ("p", "Caller")
            assert runner.context.workflow_parent_id == "p"
        assert (workflow_parent_id.get(), workflow_parent_name.get()) == (None, None)

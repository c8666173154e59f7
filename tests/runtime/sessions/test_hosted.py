"""Tests that hosted runs see sessions: ids and metadata of their own request only."""

import gc
import json
from collections.abc import AsyncGenerator
from typing import Any
from uuid import UUID

import pytest
from pydantic import BaseModel, field_serializer

from sessions_app.conversations import stops
from sessions_app.errors import NotFound
from sessions_app.hosting.run_task import RunTask
from sessions_app.models import Event, Run
from sessions_app.storage import reads
from sessions_app.workflows import Context, Message, Person, TextPrompt, workflow
from tests.support.hosting import Hosting, make_user, output, until_true
from tests.support.sessions import Log, free

pytestmark = pytest.mark.django_db(transaction=True)

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
METADATA = {
    "method": "POST",
    "url_path": "/chat",
    "headers": {
        "traceparent": f"00-{TRACE_ID}-00f067aa0ba902b7-01",
        "workflow-run-id": "r7",
        "workflow-parent-id": "p7",
        "workflow-parent-name": "caller",
        "conversation-id": "not this one",
        "user-message-id": "nor this",
    },
    "query_params": {"a": "1"},
    "client_host": "10.0.0.1",
    "client_port": 1234,
}


@workflow(name="t_context", title="Context")
async def tell(message: Message, context: Context) -> AsyncGenerator[str, None]:
    answer = await context.user_interaction_manager.prompt_user_input(TextPrompt(text="?"))
    here = Context.get()
    assert here is context
    yield json.dumps(
        {
            "answer": answer.text,
            "conversation": here.conversation_id,
            "message": here.user_message_id,
            "run": here.workflow_run_id,
            "trace": f"{here.workflow_trace_id:032x}",
            "span": here.trace.headers["traceparent"],
            "parent": [here.workflow_parent_id, here.workflow_parent_name],
            "path": here.metadata.url_path,
            "client": [here.metadata.client_host, here.metadata.client_port],
        }
    )


async def asked(hosting: Hosting, metadata: dict[str, Any] | None, *, park: bool) -> Any:
    run, _ = await hosting.submit_until_prompt("go", message_id="m1", metadata=metadata)
    if park:
        await hosting.restart()
    await hosting.answer("yes")
    row = await hosting.until_ended(run)
    assert row.status == Run.Status.COMPLETED, row.error
    return row, json.loads(await hosting.output(run))


class Signed(BaseModel):
    """A result whose JSON contains the id of its message."""

    text: str

    @field_serializer("text")
    def _sign(self, text: str) -> str:
        return f"{text} {Context.get().user_message_id}"


@workflow(name="t_signed", title="Signed")
async def sign(message: Message, context: Context) -> Signed:
    return Signed(text=message.text)


async def test_a_results_own_serializer_finds_the_context() -> None:
    async with Hosting("t_signed") as hosting:
        run = await hosting.submit("go", message_id="m1")
        row = await hosting.until_ended(run)
        assert row.status == Run.Status.COMPLETED, row.error
        assert json.loads(await hosting.output(run)) == {"text": "go m1"}


@pytest.mark.parametrize("park", [False, True])
async def test_a_hosted_run_has_the_ids_of_its_request(park: bool) -> None:
    async with Hosting("t_context") as hosting:
        row, values = await asked(hosting, METADATA, park=park)
    span = values.pop("span")
    assert span.startswith(f"00-{TRACE_ID}-")
    assert span.endswith("-01")
    assert values == {
        "answer": "yes",
        "conversation": "c",
        "message": "m1",
        "run": "r7",
        "trace": TRACE_ID,
        "parent": ["p7", "caller"],
        "path": "/chat",
        "client": ["10.0.0.1", 1234],
    }
    assert row.metadata == {**METADATA, "trace_id": TRACE_ID}


@pytest.mark.parametrize("metadata", [None, {}, {"via": "page"}])
async def test_a_run_without_a_trace_begins_one_and_replay_has_the_same(metadata: Any) -> None:
    async with Hosting("t_context") as hosting:
        row, values = await asked(hosting, metadata, park=True)
    assert values["trace"] == row.metadata["trace_id"]
    assert values["run"] == str(row.id)
    assert values["parent"] == [None, None]


log = Log()


@workflow(name="t_private", title="Private", per_user_builder=log.build)
async def private(message: Message, context: Context) -> AsyncGenerator[str, None]:
    answer = await context.ask(TextPrompt(text=f"{context.user.username}?"))
    yield await context.step(shout, answer.text, title=f"Work of {context.user.username}")
    yield f" {context.builder.name}"


def shout(text: str) -> str:
    return text.upper()


async def test_steps_of_one_user_are_not_seen_by_another_under_the_same_conversation_id() -> None:
    async with Hosting("t_private") as ann:
        ben = Hosting("t_private")
        ben.person = Person.of(await reads.read(make_user, "ben"))
        runs = {one: await one.submit("go", message_id="same") for one in (ann, ben)}
        assert len(set(runs.values())) == 2
        await ben.prompts(runs[ben])
        await ann.prompts(runs[ann])
        # The answer is for the only prompt of ann's conversation "c".
        assert (await ann.answer("a")).outcome == "accepted"
        others = str(runs[ben])
        with pytest.raises(NotFound):
            await stops.stop(owner=ann.user, conversation_id="c", run=others)
        await ann.until_ended(runs[ann])
        payloads_text = json.dumps([event.payload for event in await ann.events()])
        assert "Work of ann" in payloads_text
        assert "ben" not in payloads_text
        assert await ann.output(runs[ann]) == "A ann#1"
        events = [event.type for event in await ben.events()]
        assert events == [Event.Type.USER_MESSAGE, Event.Type.RUN, Event.Type.INTERACTION]


@pytest.mark.slow
async def test_nothing_is_kept_in_memory_after_a_run_ended() -> None:
    async with Hosting("t_context") as hosting:
        row, _ = await asked(hosting, METADATA, park=False)
        [host] = hosting.hosts._hosts.values()
        await until_true(lambda: not host._runs)
        pool = hosting.hosts._pools["t_context"]
        assert not pool._opened
        assert free(pool.limit) == pool.config.max_concurrency
        await until_true(lambda: not kept(row.id))  # the writer's thread may still hold a reference
        assert await reads.read(output, row.id)


def kept(run: UUID) -> list[Context | RunTask]:
    """Return the objects of the run that survive garbage collection."""
    gc.collect()
    # Use `type`, because `isinstance` would evaluate lazy objects of other tests, which may raise.
    all_kept = [one for one in gc.get_objects() if issubclass(type(one), Context | RunTask)]
    return [
        one for one in all_kept if run == (one.id if isinstance(one, RunTask) else UUID(one.run_id))
    ]

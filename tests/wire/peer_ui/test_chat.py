"""Messages and answers in the peer's web UI."""

import pytest

from tests.support.peer_ui import PeerUi
from tests.support.server import Server
from tests.wire.peer_ui.conftest import new_tab


def tokens(count: int) -> str:
    return "".join(f"t{number} " for number in range(count))


@pytest.mark.parametrize("schema_type", ["chat_stream", "generate_stream", "chat", "generate"])
async def test_chat_and_streaming(ui: PeerUi, schema_type: str) -> None:
    for _ in range(2):
        await ui.say("stream(tokens=20)", schema_type)
        assert await ui.ended() == tokens(20)
        # Feedback is given on it, and so it must not be the person's message that has it.
        first, *rest = (frame["type"] for frame in ui.answer_frames)
        assert (first, "observability_trace_message" in rest) == ("system_response_message", True)


async def test_steps_are_nested(ui: PeerUi) -> None:
    await ui.say("step(count=2)")
    await ui.ended()
    begins_and_ends = [
        (step["content"]["name"], step["status"], step["intermediate_parent_id"])
        for step in ui.of_type("system_intermediate_message")
    ]
    assert begins_and_ends == [
        (name, status, "default")
        for name in ("step 1", "step 2")
        for status in ("in_progress", "complete")
    ]


@pytest.mark.parametrize(
    ("text", "schema_type", "shown_before"),
    [
        *(
            ("fail()", schema_type, "so far ")
            for schema_type in ("chat_stream", "chat", "generate")
        ),
        ('use_unstorable_text(way="raise", kind="surrogate")', "chat_stream", ""),
    ],
)
async def test_a_failure_is_seen_once(
    ui: PeerUi, text: str, schema_type: str, shown_before: str
) -> None:
    await ui.say(text, schema_type)
    answer = await ui.ended()
    assert answer.startswith(shown_before)
    assert "This run failed." in answer
    [error] = ui.of_type("error_message")
    shown_error = error["content"]["message"], error["content"]["details"]
    assert shown_error == ("The workflow raised ValueError.", "workflow_error")
    await ui.say('echo("on")')
    assert await ui.ended() == "on"


# Nothing follows its first piece: a frame on its way when the next message is sent nobody can
# withhold.
BEGUN = "report(characters=9, tokens=1, delay=60)"


@pytest.mark.slow
@pytest.mark.parametrize("first", [BEGUN, "ask()", "ask(delay=60)"])
async def test_after_stop_the_next_message_gets_its_own_answer(ui: PeerUi, first: str) -> None:
    await ui.say(first)
    if first == "ask()":
        await ui.asked()
    elif first == BEGUN:
        await ui.until(lambda _: bool(ui.answer_text))
    await ui.say("stream(tokens=12, delay=0.1)")
    assert await ui.ended() == tokens(12)
    assert "system_interaction_message" not in {frame["type"] for frame in ui.answer_frames}


@pytest.mark.slow
async def test_messages_in_parallel_end_together(backend: Server) -> None:
    async with new_tab(backend, workflow="probe_per_user") as ui:
        await ui.say("stream(tokens=3, delay=1)")
        await ui.shows("t0 ")
        await ui.say("ask()")
        assert await ui.asked() == "text"
        await ui.shows("t2 ")
        await ui.reply("yes")
        assert (await ui.ended()).endswith("yes")
        ends = [one for one in ui.of_type("system_response_message") if one["status"] == "complete"]
        assert len(ends) == 1

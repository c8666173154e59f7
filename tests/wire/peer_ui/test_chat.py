"""Messages and answers in the peer's web UI."""

import pytest

from tests.support.peer_ui import PeerUi
from tests.wire.peer_ui.conftest import NewTab

COMPLETE = {"type": "system_response_message", "status": "complete"}


@pytest.mark.parametrize("schema_type", ["chat_stream", "generate_stream", "chat", "generate"])
async def test_chat_and_streaming(ui: PeerUi, schema_type: str) -> None:
    for _ in range(2):
        await ui.say("stream(tokens=20)", schema_type)
        assert await ui.until_ended() == "".join(f"t{number} " for number in range(20))
        # Feedback is given on it, and so it must not be the person's message that has it.
        assert ui.answer_shown.trace
        assert ui.received[-1].items() >= COMPLETE.items()


async def test_steps_are_nested(ui: PeerUi) -> None:
    await ui.say("step(count=2)")
    await ui.until_ended()
    steps = ui.answer_shown.steps.values()
    assert [step["content"]["name"] for step in steps] == ["step 1", "step 2"]
    assert {step["status"] for step in steps} == {"complete"}
    assert {step["intermediate_parent_id"] for step in steps} == {"default"}


@pytest.mark.parametrize("schema_type", ["chat_stream", "chat", "generate"])
async def test_a_failure_after_text_is_seen_once(ui: PeerUi, schema_type: str) -> None:
    await ui.say("fail()", schema_type)
    text = await ui.until_ended()
    assert text.startswith("so far ")
    assert "This run failed." in text
    assert ui.errors == ["The workflow raised ValueError. workflow_error"]


async def test_a_failure_before_the_first_text_is_seen_too(ui: PeerUi) -> None:
    await ui.say('use_unstorable_text(way="raise", kind="surrogate")')
    assert "This run failed." in await ui.until_ended()
    assert ui.errors == ["The workflow raised ValueError. workflow_error"]
    await ui.say('echo("on")')
    assert await ui.until_ended() == "on"


# Its pieces are far apart, as what is on its way when the next message is sent nobody can withhold.
@pytest.mark.parametrize("first", ["stream(tokens=100, delay=0.5)", "ask()", "ask(delay=1.5)"])
async def test_after_stop_the_next_message_gets_its_own_answer(ui: PeerUi, first: str) -> None:
    await ui.say(first)
    if first == "ask()":
        await ui.until_asked()
        ui.modal = None  # nothing covers the page, as after a reload
    elif first.startswith("stream"):
        await ui.until(lambda: "t0 " in ui.text)
    ui.stop()
    await ui.say("stream(tokens=12, delay=0.1)")
    assert await ui.until_ended() == "".join(f"t{number} " for number in range(12))
    assert ui.modal is None


async def test_a_run_that_goes_on_first_asks_again_and_gives_no_text(new_tab: NewTab) -> None:
    """A run that is waited for can be gone on with."""
    async with new_tab(workflow="calculator") as ui:
        await ui.say("1+2+3+4+5+6")
        await ui.until_asked()
        ui.modal = None
        ui.stop()
        await ui.say("1+1")
        assert await ui.until_asked("Try with up to 6?") == "binary_choice"
        await ui.answer("stop")
        assert await ui.until_ended() == "`1+1` = **2**"


async def test_a_queued_message_has_the_first_run_ask_again(new_tab: NewTab) -> None:
    async with new_tab(workflow="parallel_review") as ui:
        await ui.say("first")
        await ui.until_asked("Legal")
        ui.modal = None
        ui.stop()
        await ui.say("second")
        for reviewer in ("Legal", "Security", "Editorial"):
            await ui.until_asked(reviewer)
            await ui.answer("approve")
        assert (await ui.until_ended()).endswith("**Approved.**")


async def test_messages_in_parallel_end_together(new_tab: NewTab) -> None:
    async with new_tab(workflow="probe_per_user") as ui:
        await ui.say("stream(tokens=4, delay=0.3)")
        await ui.until(lambda: "t0 " in ui.text)
        ui.stop()
        await ui.say("ask()")
        assert await ui.until_asked() == "text"
        await ui.until(lambda: "t3 " in ui.text)
        await ui.answer("yes")
        assert (await ui.until_ended()).endswith("yes")
        ends = [frame for frame in ui.received if frame.items() >= COMPLETE.items()]
        assert len(ends) == 1

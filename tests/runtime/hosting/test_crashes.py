"""Tests with SIGKILL at critical moments: nothing is lost, and nothing happens twice."""

import asyncio
from contextlib import suppress
from typing import Any

import pytest

from sessions_app.hosting.run_selection import MAX_CRASHES
from tests.support.polling import until
from tests.support.processes.command import run
from tests.support.received_frames import Frame, Wanted
from tests.support.server import Ended, Server
from tests.support.websocket import WsClient

SETTLE = """
import sys
from django.contrib.auth import get_user_model
from sessions_app import runs
from sessions_app.models import Interaction
ann = get_user_model().objects.get(username="ann")
pending = Interaction.objects.get(status="pending")
print(runs.answer(pending.pk, "continue", by=ann))
"""


def socket(server: Server, conversation_id: str | None = None, **options: Any) -> WsClient:
    """Return a socket whose new conversations use the probe."""
    return WsClient(server, conversation_id, **{"workflow": "probe", **options})


def events(server: Server) -> list[dict[str, Any]]:
    return server.rows(
        "select first_sequence, sequence, type, payload from sessions_app_event order by sequence"
    )


def assert_gap_free(server: Server) -> None:
    at = 1
    for event in events(server):
        assert event["first_sequence"] == at, f"gap or overlap at {at}: {event}"
        at = event["sequence"] + 1


def in_step_3(frame: Frame) -> bool:
    working = (frame["type"], frame["status"]) == ("system_intermediate_message", "in_progress")
    return bool(working and frame["content"]["name"] == "step 3")


def last_sequence(client: WsClient) -> int:
    return max((frame.get("sequence") or 0 for frame in client.frames), default=0)


def back(server: Server, client: WsClient) -> WsClient:
    """Return a socket that reconnects as this client, and gets the missed events."""
    return socket(server, "c", last_sequence=last_sequence(client))


async def killed_at(server: Server, text: str, wanted: Wanted | int) -> WsClient:
    """Send a message, kill the server at a frame or text, and restart it.

    Return the client that was connected at the kill.
    """
    async with socket(server, "c") as client:
        await client.message(text)
        if isinstance(wanted, int):
            words = wanted
            await client.until(lambda _: len(client.text().split()) >= words)
        else:
            await client.until(wanted)
        server.kill()
    server.restart()
    return client


async def until_text(client: WsClient, text: str) -> None:
    await client.until(lambda _: text in client.text())


async def assert_whole(server: Server, text: str) -> None:
    """Check the text that a reader of the whole log gets."""
    async with socket(server, "c", last_sequence=0) as reader:
        await reader.until_ended("completed")
        assert reader.text() == text


def assert_four_steps(server: Server, text: str) -> None:
    """Check that each step was executed once, and shown once."""
    assert (server.data_dir / "probe.log").read_text().split()[1::2] == ["1", "2", "3", "4"]
    assert text == "s1 s2 s3 s4 "
    assert_gap_free(server)


@pytest.mark.slow
async def test_a_pending_prompt_is_there_after_a_kill_and_goes_on(server: Server) -> None:
    killed_socket = await killed_at(server, "approve(count=2)", "system_interaction_message")
    [first] = killed_socket.of_type("system_interaction_message")
    async with back(server, killed_socket) as client:
        again = await client.until("system_interaction_message")
        assert again["id"] == first["id"]
        assert again["parent_id"] == first["parent_id"]
        await client.answer("continue", again)
        await client.answer("cancel", await client.until("system_interaction_message"))
        await client.until_ended("completed")
        assert client.text() == "continue|cancel"
    assert_gap_free(server)


async def killed_before_answer(server: Server, text: str, answer: str) -> WsClient:
    """Kill the server at a question, store the answer while no host lives, and restart the server.

    A kill directly after the commit of an answer leaves the same state.
    """
    async with socket(server, "c") as client:
        await client.message_until_prompt(text)
        server.kill()
    shell = ("manage.py", "shell", "--no-imports", "-c", SETTLE.replace("continue", answer))
    process = await asyncio.to_thread(run, *shell, env=server.environment)
    assert "accepted" in process.stdout, process.stderr
    server.restart()
    return client


@pytest.mark.slow
async def test_an_answer_that_was_stored_is_used_after_the_kill(server: Server) -> None:
    killed_socket = await killed_before_answer(server, "approve(count=2)", "continue")
    async with back(server, killed_socket) as client:
        second = await client.until("system_interaction_message")
        assert second["content"]["text"] == "prompt-2"
        await client.answer("cancel", second)
        await client.until_ended("completed")
        assert client.text() == "continue|cancel"


@pytest.mark.slow
@pytest.mark.parametrize("after", [1, 60])
async def test_a_stream_that_was_cut_loses_and_doubles_no_chunk(server: Server, after: int) -> None:
    killed_socket = await killed_at(server, "stream(tokens=120, delay=0.004)", after)
    async with back(server, killed_socket) as client:
        await client.until_ended("completed")
    whole = "".join(f"t{n} " for n in range(120))
    assert killed_socket.text() + client.text() == whole
    assert_gap_free(server)
    await assert_whole(server, whole)


@pytest.mark.slow
async def test_no_finished_step_runs_twice_and_the_replay_is_counted(server: Server) -> None:
    # Steps are long, so that the kill happens within the third, even on a busy machine.
    killed_socket = await killed_at(server, "step(count=4, seconds=1.5)", in_step_3)
    async with back(server, killed_socket) as client:
        resumed = await client.until(
            lambda frame: frame["type"] == "run_update_message" and "replayed" in frame["content"]
        )
        assert resumed["content"]["replayed"] == 2
        await client.until_ended("completed")
    assert_four_steps(server, killed_socket.text() + client.text())


@pytest.mark.slow
@pytest.mark.parametrize("kills", [1, MAX_CRASHES - 1])
async def test_a_streamed_step_that_was_cut_is_made_again(server: Server, kills: int) -> None:
    killed_socket = await killed_at(server, "stream_model(tokens=40, delay=0.04)", 5)
    for execution in range(2, kills + 1):
        async with back(server, killed_socket) as killed_socket:
            await until_text(killed_socket, f"{execution}:5 ")
            server.kill()
        server.restart()
    whole = "".join(f"{kills + 1}:{n} " for n in range(40))
    async with back(server, killed_socket) as client:
        prompt = await client.until("system_interaction_message")
        assert client.text().endswith(whole)  # text that was committed before the crash comes first
        server.kill()  # the stream has ended: from here on nothing repeats the call
        server.restart()
    async with back(server, client) as answering:
        await answering.answer("yes", prompt)
        await answering.until_ended("completed")
        assert answering.text() == "yes"
    await assert_whole(server, f"{whole}yes")
    assert (server.data_dir / "probe.log").read_text().count("model") == kills + 1
    restarts = [event for event in events(server) if event["type"] == "restart"]
    assert len(restarts) == kills
    assert restarts[0]["sequence"] > 1
    assert_gap_free(server)


@pytest.mark.slow
async def test_clean_up_that_was_cut_loses_and_doubles_no_step(server: Server) -> None:
    async with socket(server, "c") as killed_socket:
        await killed_socket.message_until_prompt("undo(count=4, seconds=1)")
        await killed_socket.send({"type": "stop_message", "id": "s"})
        await killed_socket.until(in_step_3)
        server.kill()
    server.restart()
    async with back(server, killed_socket) as client:
        await client.until_ended("cancelled")
    assert not server.rows("select 1 from sessions_app_interaction where status = 'pending'")
    assert_four_steps(server, killed_socket.text() + client.text())


@pytest.mark.slow
async def test_a_deadline_that_passed_while_it_was_down_is_settled(server: Server) -> None:
    killed_socket = await killed_at(server, 'prompt(kind="text")', "system_interaction_message")
    server.kill()
    server.execute("update sessions_app_interaction set expires_at = '2026-01-01 00:00:00'")
    server.restart()
    async with back(server, killed_socket) as client:
        update = await client.until("interaction_update_message")
        assert update["content"]["status"] == "expired"


def statuses(server: Server) -> dict[str, str]:
    """Return the statuses of the runs by conversation."""
    rows = server.rows(
        "select c.conversation_id, r.status from sessions_app_run r"
        " join sessions_app_conversation c on c.id = r.conversation_id"
    )
    return {row["conversation_id"]: row["status"] for row in rows}


def over(server: Server) -> bool:
    """Return whether all runs have ended, with any outcome."""
    return set(statuses(server).values()) <= {"completed", "suspended"}


def is_over_or_dead(server: Server) -> bool:
    """Return whether all runs have ended, or else their host has."""
    return server.host.process.poll() is not None or over(server)


@pytest.mark.slow
async def test_a_run_that_kills_its_process_is_set_aside_alone(server: Server) -> None:
    async with socket(server) as client:
        for n in range(5):
            await client.message("stream(tokens=25, delay=0.1)", conversation_id=f"good{n}")
        await client.message("exit_process()", conversation_id="poison")
        await asyncio.to_thread(server.host.wait, 20)
    for _ in range(10):
        # Repeat until the run is set aside. Before that, it may kill its host even before the
        # server answers.
        with suppress(Ended):
            server.restart()
        await asyncio.to_thread(until, lambda: is_over_or_dead(server), 120)
        if over(server):
            break
    good = {f"good{n}": "completed" for n in range(5)}
    assert statuses(server) == {**good, "poison": "suspended"}


async def echo(server: Server, name: str) -> None:
    async with socket(server, name) as client:
        await client.message('echo("hello")')
        await client.until_ended("completed", 120)

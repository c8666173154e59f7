"""Tests of runs that block the event loop: only these are suspended; others continue."""

import json
import re
import signal
from typing import Any

import pytest

from sessions_app.hosting.dispatch.local import LocalDispatcher
from tests.conftest import NewServer
from tests.support.hosting import Hosting, until_true
from tests.support.processes.command import run
from tests.support.processes.environment import ROOT, environment
from tests.support.server import Server
from tests.support.websocket import WsClient

NEIGHBOURS = 7
TEXTS = """
    select run_id, payload from sessions_app_event
    where type = 'message' order by conversation_id, sequence
"""
WHOLE = "".join(f"t{number} " for number in range(40))


async def blocked_errors(server: Server) -> list[dict[str, Any]]:
    """Return the errors of the blocking runs, once all are suspended."""

    def suspended_rows() -> list[dict[str, Any]]:
        rows = server.rows("select status, error from sessions_app_run where text like 'block%'")
        return rows if {row["status"] for row in rows} == {"suspended"} else []

    errors = [row["error"] for row in await until_true(suspended_rows)]
    return [dict(json.loads(one) if isinstance(one, str) else one) for one in errors]


async def beside_runs(server: Server, how: str, seconds: float) -> None:
    """Let a run block while others work, and wait until the others have ended."""
    async with WsClient(server, workflow="probe") as ann:
        for number in range(NEIGHBOURS):
            await ann.message("stream(tokens=40, delay=0.05)", conversation_id=f"{how}{number}")
        begun_ids: set[str] = set()
        while len(begun_ids) < NEIGHBOURS:
            frame = await ann.until("system_response_message")
            begun_ids.add(frame["conversation_id"])
        await ann.message(f"block({how!r}, seconds={seconds})", conversation_id=how)
        # On a busy machine, the first may have ended before the last has begun.
        while len(completed(ann)) < NEIGHBOURS:
            await ann.until_ended("completed", 60)


def completed(client: WsClient) -> set[str]:
    """Return the conversations whose run has completed, as the client has heard."""
    updates = client.of_type("run_update_message")
    return {one["conversation_id"] for one in updates if one["content"]["status"] == "completed"}


def assert_unhurt(server: Server, neighbours: int) -> None:
    texts: dict[str, str] = {}
    for row in server.rows(TEXTS):
        payload = row["payload"]
        text = (json.loads(payload) if isinstance(payload, str) else payload)["text"]
        texts[str(row["run_id"])] = texts.get(str(row["run_id"]), "") + text
    assert list(texts.values()) == [WHOLE] * neighbours
    # Taking a run up counts one crash in advance; with two crashes, the run would be a suspect.
    assert not server.rows("select 1 from sessions_app_run where crashes > 1")


@pytest.mark.slow
async def test_a_run_that_blocks_is_suspended_and_no_other_charged(new_server: NewServer) -> None:
    server = new_server(MAX_BLOCKING="1")
    hows = ["loop", "sleep", "task", "regex", "loop_then_wait"]
    for how in hows:
        await beside_runs(server, how, seconds=60)
    errors = await blocked_errors(server)
    assert [error["code"] for error in errors] == ["blocked"] * len(hows)
    assert all("tests/support/workflows/blocking.py" in error["detail"] for error in errors)
    assert_unhurt(server, len(hows) * NEIGHBOURS)


@pytest.mark.slow
async def test_a_run_that_cannot_be_interrupted_writes_nothing_more(new_server: NewServer) -> None:
    server = new_server(workers=2, MAX_BLOCKING="1")
    await beside_runs(server, "c_call", seconds=10)
    assert [error["code"] for error in await blocked_errors(server)] == ["blocked"]
    assert_unhurt(server, NEIGHBOURS)


@pytest.mark.slow
@pytest.mark.parametrize("how", ["loop", "sleep", "task"])
async def test_a_run_that_is_slow_for_once_is_logged_by_line(server: Server, how: str) -> None:
    async with WsClient(server, workflow="probe") as ann:
        await ann.message(f"block({how!r}, seconds=1.5)", conversation_id="slow")
        await ann.until_ended("completed")

    def slow_run_lines() -> list[str]:
        return [line for line in server.host.log.splitlines() if "run.slow" in line]

    [line] = await until_true(slow_run_lines)
    assert "workflow=probe" in line
    assert re.search(r"line=.*tests/support/workflows/blocking.py:\d+ in (spin|block)", line)


@pytest.mark.slow
async def test_sigterm_ends_a_process_that_a_workflow_holds_up(server: Server) -> None:
    async with WsClient(server, workflow="probe") as ann:
        await ann.message('block("loop", seconds=600)', conversation_id="blocker")
        await ann.until("system_response_message")
        server.host.process.send_signal(signal.SIGTERM)
        # uvicorn also stops gracefully, and then ends itself by the signal.
        assert server.host.process.wait(30) in (0, -signal.SIGTERM)


@pytest.mark.django_db(transaction=True)
async def test_a_process_that_is_being_stopped_reports_it() -> None:
    async with Hosting("calculator") as hosting:
        dispatcher = hosting._dispatcher
        assert dispatcher is not None
        assert not dispatcher.report().draining
    assert dispatcher.report().draining


async def test_a_dispatcher_that_was_not_started_can_be_stopped() -> None:
    """A process may get SIGTERM while it is starting."""
    await LocalDispatcher(park_after=60).stop()


@pytest.mark.timeout(60, method="thread")  # the other method would use the alarm itself
async def test_an_alarm_ends_no_process_that_has_stopped_to_watch() -> None:
    watchdog = LocalDispatcher(park_after=60)._watchdog
    watchdog.start()
    await until_true(lambda: signal.getitimer(signal.ITIMER_REAL) != (0.0, 0.0))
    watchdog.stop()
    # Stop the alarm, which would end the test process.
    left = signal.setitimer(signal.ITIMER_REAL, 0)
    assert left == (0.0, 0.0)


# Program whose every look collects garbage, with finalizers that let another thread run, while
# other threads start and end.
LOOKS = """
import gc, threading, time
import django
django.setup()
from sessions_app.hosting.alarm import frame_of

class Garbage:
    def __init__(self):
        self.own = self
    def __del__(self):
        time.sleep(0)

def start_threads():
    while True:
        thread = threading.Thread(target=int)
        thread.start()
        thread.join()

threading.Thread(target=start_threads, daemon=True).start()
gc.set_threshold(5, 1, 1)
for _ in range(3000):
    Garbage()
    assert frame_of(threading.get_ident())
print("saw it all", gc.isenabled())
"""


@pytest.mark.slow
@pytest.mark.formless
def test_a_process_that_is_looked_at_does_not_stand_still() -> None:
    process = run("-c", LOOKS, env=environment(ROOT))
    assert process.stdout == "saw it all True\n", process.stderr

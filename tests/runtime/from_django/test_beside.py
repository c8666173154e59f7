"""Tests of processes beside the hosts: management commands, cron jobs."""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import partial

import pytest

from tests.conftest import NewServer
from tests.support.polling import until
from tests.support.server import ROOT, Server

pytestmark = pytest.mark.slow

# A parked run finds an answer that no message announced. Parking comes late here (in seconds),
# because the run must be told of the answer much sooner.
PARK_AFTER = "100"

RunCommand = Callable[..., str]


class Program:
    """The program `beside`, with the environment of a server."""

    def __init__(self, server: Server) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.runtime.from_django.beside"],
            cwd=ROOT,
            env=server.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, *words: str) -> None:
        """Send a command."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(words) + "\n")
        self._process.stdin.flush()

    def answer(self) -> str:
        """Return the result of the last command."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the program has ended"
        return line.rstrip("\n")

    def close(self) -> None:
        """End the program."""
        self._process.communicate()


@contextmanager
def program(server: Server) -> Iterator[RunCommand]:
    """Yield a function that executes a command in a process beside the server."""
    with closing(Program(server)) as started:

        def do(*words: str) -> str:
            started.ask(*words)
            return started.answer()

        yield do


@pytest.fixture
def server(new_server: NewServer) -> Server:
    return new_server(PARK_AFTER=PARK_AFTER)


@pytest.fixture
def run_command(server: Server) -> Iterator[RunCommand]:
    with program(server) as do:
        yield do


def statuses(server: Server) -> Counter[str]:
    return Counter(row["status"] for row in server.rows("SELECT status FROM sessions_app_run"))


def is_read(server: Server, count: int) -> bool:
    """Return whether the runs have read so many of the sent values."""
    return len(server.rows("SELECT id FROM sessions_app_arrival WHERE position > 0")) >= count


def test_a_server_takes_up_what_another_process_starts_answers_and_stops(
    server: Server, run_command: RunCommand
) -> None:
    run_command("undone", 'echo("what is rolled back")')
    run = run_command("start", "ask()")
    assert run_command("asked", run) == "interaction"
    assert run_command("answer", run, "Eve") == "accepted"
    assert "Eve" in run_command("result", run)
    other = run_command("start", "ask()")
    run_command("asked", other)
    assert run_command("cancel", other) == "True"
    run_command("result", other)
    assert statuses(server) == {"completed": 1, "cancelled": 1}


def test_starts_and_answers_without_a_server_wait_for_the_next(
    server: Server, run_command: RunCommand
) -> None:
    run = run_command("start", "ask()")
    run_command("asked", run)
    server.kill()
    run_command("answer", run, "Eve")
    other = run_command("start", 'echo("later")')
    server.start()
    assert "Eve" in run_command("result", run)
    assert "later" in run_command("result", other)


def test_messages_to_a_run_are_read_once_though_servers_are_killed(
    server: Server, run_command: RunCommand
) -> None:
    run = run_command("start", "wait_for(count=3)")
    for sent_id in ("a", "b"):
        assert run_command("send", run, sent_id, sent_id) == "accepted"
        server.kill()
        assert run_command("send", run, sent_id, sent_id) == "duplicate"
        server.start()
    assert run_command("send", run, "c", "c") == "accepted"
    assert run_command("result", run) == "a|b|c"
    assert run_command("send", run, "d", "d") == "stale"


def test_messages_sent_while_servers_are_killed_are_read_in_order(
    server: Server, run_command: RunCommand
) -> None:
    numbers = [str(number) for number in range(40)]
    with closing(Program(server)) as sender:
        run = run_command("start", "wait_for(count=40)")
        for first in range(0, 40, 10):
            for number in numbers[first : first + 10]:
                sender.ask("send", run, number, number)
            outcomes = [sender.answer() for _ in range(5)]
            # Wait for progress: a run without progress between three kills would be suspended.
            until(partial(is_read, server, first + 1))
            server.kill()  # some values are read, some are stored only, and some are not sent yet
            outcomes += [sender.answer() for _ in range(5)]
            assert outcomes == ["accepted"] * 10
            server.start()
        assert run_command("result", run) == "|".join(numbers)
    arrivals = server.rows("SELECT position FROM sessions_app_arrival ORDER BY id")
    assert [row["position"] for row in arrivals] == list(range(1, 41))


def test_a_thousand_starts_with_a_hundred_keys_are_a_hundred_runs(server: Server) -> None:
    with ExitStack() as stack:
        programs = [stack.enter_context(closing(Program(server))) for _ in range(8)]
        for one in programs:
            one.ask("start_all", "125", "100")
        started = [json.loads(one.answer()) for one in programs]
        runs = started[0].values()
        assert len(set(runs)) == 100
        assert all(one == started[0] for one in started)
        programs[0].ask("result", *runs)
        assert len(programs[0].answer().split()) == 100
    assert statuses(server) == {"completed": 100}

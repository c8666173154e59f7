"""Runs within runs while their processes are killed: each once, counted from outside."""

import time

import pytest

from tests.conftest import NewServer
from tests.runtime.from_django.test_beside import program
from tests.support.server import Server

RUNS = "SELECT id FROM sessions_app_run WHERE parent_id IS NOT NULL"
ENTRIES = "SELECT id FROM sessions_app_journalentry WHERE kind = 'step'"
PENDING = "SELECT id FROM sessions_app_interaction WHERE status = 'pending'"


def until(server: Server, sql: str, count: int) -> None:
    deadline = time.monotonic() + 60
    while len(server.rows(sql)) < count:
        assert time.monotonic() < deadline, f"not {count} rows in 60 s: {sql}"
        time.sleep(0.01)


@pytest.mark.long
def test_a_child_is_run_once_whenever_the_processes_are_killed(new_server: NewServer) -> None:
    server = new_server()
    with program(server) as beside:
        run = beside("start", "child child transact 20 5")
        for sql, count in ((RUNS, 2), (ENTRIES, 10)):
            until(server, sql, count)
            server.restart()
        assert beside("result", run) == "done"
    assert len(server.rows(RUNS)) == 2
    assert len(server.rows(ENTRIES)) == 20
    [row] = server.rows("SELECT length(first_name) AS size FROM auth_user WHERE username = 'ann'")
    assert row["size"] == 20


def test_an_answer_to_a_child_that_comes_while_nothing_runs_goes_to_both(
    new_server: NewServer,
) -> None:
    server = new_server()
    with program(server) as beside:
        run = beside("start", "child ask")
        until(server, PENDING, 1)
        server.kill()
        assert beside("answer", run, "Eve") == "accepted"
        server.start()
        assert beside("result", run) == "Eve"
    assert len(server.rows(RUNS)) == 1

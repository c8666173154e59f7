"""Tests of steps and child runs while processes are killed; counted in the database by others."""

import pytest

from tests.conftest import NewServer
from tests.runtime.from_django.test_beside import program
from tests.support.polling import until
from tests.support.server import Server

RUNS, STEPS, SECONDS = 3, 30, 0.005
CHILDREN = "SELECT id FROM sessions_app_run WHERE parent_id IS NOT NULL"
STEPS_DONE = "SELECT id FROM sessions_app_journalentry WHERE kind = 'step'"
PENDING = "SELECT id FROM sessions_app_interaction WHERE status = 'pending'"


def effects(server: Server) -> int:
    """Return how often the step had its effect."""
    [row] = server.rows("SELECT length(first_name) AS size FROM auth_user WHERE username = 'ann'")
    return int(row["size"])


def count(server: Server, sql: str) -> int:
    """Return the number of rows."""
    return len(server.rows(sql))


def until_there(server: Server, sql: str, least: int) -> None:
    until(lambda: count(server, sql) >= least, every=0.01)


@pytest.mark.slow
def test_killed_processes_apply_transactional_steps_once(new_server: NewServer) -> None:
    server = new_server()
    with program(server) as run_command:
        many = [
            run_command("start", f"transact(count={STEPS}, seconds={SECONDS})") for _ in range(RUNS)
        ]
        for least in (10, 30, 50, 70):
            until_there(server, STEPS_DONE, least)
            server.restart()
            assert effects(server) >= least
        assert run_command("result", *many).split() == ["done"] * RUNS
    assert effects(server) == count(server, STEPS_DONE) == RUNS * STEPS


@pytest.mark.slow
def test_a_process_killed_in_a_transactional_step_writes_nothing(new_server: NewServer) -> None:
    server = new_server()
    (server.data_dir / "probe.log.kill").touch()
    with program(server) as run_command:
        run = run_command("start", "transact(count=2)")
        assert server.host.wait(60) == -9
        assert (effects(server), count(server, STEPS_DONE)) == (0, 0)
        server.restart()
        assert run_command("result", run) == "done"
    assert effects(server) == count(server, STEPS_DONE) == 2


@pytest.mark.slow
def test_a_child_is_run_once_whenever_the_processes_are_killed(new_server: NewServer) -> None:
    server = new_server()
    with program(server) as run_command:
        run = run_command("start", "run_child('run_child(\"transact(count=20, seconds=0.005)\")')")
        for sql, least in ((CHILDREN, 2), (STEPS_DONE, 10)):
            until_there(server, sql, least)
            server.restart()
        assert run_command("result", run) == "done"
    assert count(server, CHILDREN) == 2
    assert count(server, STEPS_DONE) == 20
    assert effects(server) == 20


@pytest.mark.slow
def test_an_answer_to_a_parked_child_resumes_child_and_parent(new_server: NewServer) -> None:
    server = new_server()
    with program(server) as run_command:
        run = run_command("start", 'run_child("ask()")')
        until_there(server, PENDING, 1)
        server.kill()
        assert run_command("answer", run, "Eve") == "accepted"
        server.start()
        assert run_command("result", run) == "Eve"
    assert count(server, CHILDREN) == 1

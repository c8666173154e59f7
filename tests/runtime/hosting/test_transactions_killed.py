"""Transactional steps while their processes are killed: counted in the database, from outside."""

import time

import pytest

from tests.conftest import NewServer
from tests.runtime.from_django.test_beside import program
from tests.support.server import Server

RUNS, STEPS, MILLISECONDS = 3, 30, 5


def effects(server: Server) -> int:
    """How often a step had its effect."""
    [row] = server.rows("SELECT length(first_name) AS size FROM auth_user WHERE username = 'ann'")
    return int(row["size"])


def recorded(server: Server) -> int:
    """How many steps are in journals."""
    [row] = server.rows("SELECT count(*) AS count FROM sessions_app_journalentry")
    return int(row["count"])


def until_recorded(server: Server, least: int) -> None:
    deadline = time.monotonic() + 60
    while (count := recorded(server)) < least:
        assert time.monotonic() < deadline, f"{count} of {least} steps in 60 s"
        time.sleep(0.01)


@pytest.mark.long
def test_what_transactional_steps_write_is_there_once_however_often_they_are_killed(
    new_server: NewServer,
) -> None:
    server = new_server()
    with program(server) as beside:
        many = [beside("start", f"transact {STEPS} {MILLISECONDS}") for _ in range(RUNS)]
        for least in (10, 30, 50, 70):
            until_recorded(server, least)
            server.restart()
            assert effects(server) >= least
        assert beside("result", *many).split() == ["done"] * RUNS
    assert effects(server) == recorded(server) == RUNS * STEPS


@pytest.mark.long
def test_a_process_that_dies_in_the_middle_of_one_leaves_nothing_of_it(
    new_server: NewServer,
) -> None:
    server = new_server()
    (server.data_dir / "probe.log.kill").touch()
    with program(server) as beside:
        run = beside("start", "transact 2")
        assert server.host.wait(60) == -9
        assert (effects(server), recorded(server)) == (0, 0)
        server.restart()
        assert beside("result", run) == "done"
    assert effects(server) == recorded(server) == 2

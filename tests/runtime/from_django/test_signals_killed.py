"""Tests of signals when the process is killed after the commit, but before receivers return."""

import signal as signal_module
from pathlib import Path

import pytest

from tests.conftest import NewServer
from tests.runtime.from_django.test_beside import program
from tests.support.polling import until
from tests.support.running_form import CLUSTER
from tests.support.server import Server

# Let the dead worker's signal be due now, because the test is not about how long others wait.
LATER = "UPDATE sessions_app_pendingsignal SET due_at = CURRENT_TIMESTAMP"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "signals.log"


@pytest.fixture
def server(new_server: NewServer, log: Path) -> Server:
    return new_server(PROBE_SIGNALS=str(log))


@pytest.mark.slow
def test_each_signal_is_sent_though_its_process_is_killed(server: Server, log: Path) -> None:
    def sent() -> list[str]:
        return log.read_text().splitlines() if log.exists() else []

    def is_sent_by_the_next(signal: str) -> None:
        """Check that a killed host has not sent the signal, and that the next host sends it."""
        assert server.host.wait(60) == -signal_module.SIGKILL
        assert signal not in sent()
        server.kill()
        if CLUSTER:
            server.execute(LATER)
        server.start()
        until(lambda: signal in sent())

    kill = log.with_name(f"{log.name}.kill")
    with program(server) as run_command:
        kill.touch()
        run = run_command("start", "ask()")
        is_sent_by_the_next(f"interaction_opened {run}")
        kill.touch()
        assert run_command("answer", run, "Eve") == "accepted"
        is_sent_by_the_next(f"interaction_settled {run}")
        until(lambda: f"run_finished {run}" in sent())
        kill.touch()
        other = run_command("start", 'echo("other")')
        is_sent_by_the_next(f"run_finished {other}")
    until(lambda: not server.rows("SELECT * FROM sessions_app_pendingsignal"))

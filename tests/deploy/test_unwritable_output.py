"""A server goes on where nothing can be printed any more, and ends where it could store nothing."""

import asyncio
import os
from pathlib import Path

import pytest
import structlog
from django.contrib.auth.hashers import MD5PasswordHasher

from sessions_app.logs import Log
from tests.conftest import NewServer
from tests.http.client import CSRF, Http
from tests.support.server import Server
from tests.support.websocket import WsClient

pytestmark = pytest.mark.every_form("each kind of process prints", at_each_change=False)
PASSWORD = "UPDATE auth_user SET username = 'Zoë☃', password = ? WHERE username = 'ben'"
MORE = pytest.mark.beyond("a line fails nothing on each output, whatever prints it")
OUTPUTS = [
    ("full", ""),
    ("gone", "1"),
    ("ascii", ""),
    pytest.param("full", "1", marks=MORE),
    pytest.param("gone", "", marks=MORE),
    pytest.param("ascii", "1", marks=MORE),
]


def start(new_server: NewServer, output: str, tmp_path: Path, **env: str) -> Server:
    """Start a project's server that configures no logs, and break what it prints to."""
    if output == "ascii":
        env["PYTHONIOENCODING"] = "ascii"
    elif output == "full":
        env["OUTPUT"] = "/dev/full"
    else:
        env["OUTPUT"] = str(tmp_path / "pipe")
        os.mkfifo(env["OUTPUT"])
        reader = os.open(env["OUTPUT"], os.O_RDONLY | os.O_NONBLOCK)
    settings = "tests.support.processes.without_logs"
    server = new_server(DJANGO_SETTINGS_MODULE=settings, **env)
    server.until_workers()
    if output == "gone":
        os.close(reader)
    return server


@pytest.mark.formless
def test_lines_go_to_the_loggers_of_the_standard_library(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(structlog, "is_configured", lambda: False)
    try:
        int("no number")
    except ValueError:
        Log("sessions_app.some").exception("thing.failed", name="a thing", at=3)
    [record] = caplog.records
    assert (record.name, record.levelname) == ("sessions_app.some", "ERROR")
    assert record.getMessage() == "thing.failed name='a thing' at=3"
    assert record.funcName == "test_lines_go_to_the_loggers_of_the_standard_library"
    assert record.exc_info is not None


@pytest.mark.slow
@pytest.mark.parametrize(("output", "prints"), OUTPUTS)
def test_a_line_that_cannot_be_written_fails_nothing(
    new_server: NewServer, tmp_path: Path, output: str, prints: str
) -> None:
    server = start(new_server, output, tmp_path, STRUCTLOG_PRINTS=prints)
    server.execute(PASSWORD, MD5PasswordHasher().encode("secret", "salt"))
    visitor = Http(server, None, headers={"cookie": f"csrftoken={CSRF}", "x-csrftoken": CSRF})
    wrong = visitor.form("/sign-in/", {"username": "Zoë☃", "password": "wrong"})
    right = visitor.form("/sign-in/", {"username": "Zoë☃", "password": "secret"})
    assert (wrong.status, right.status) == (200, 302)
    http = Http(server)
    assert http.generate("fail()").json()["code"] == "workflow_error"
    assert http.generate("stream(tokens=3)").json() == {"value": "t0 t1 t2 "}
    assert [server.get(path).status for path in ("/live", "/health")] == [200, 200]
    runs = server.rows("SELECT status FROM sessions_app_run ORDER BY created_at")
    assert [run["status"] for run in runs] == ["failed", "completed"]


@pytest.mark.slow
@pytest.mark.parametrize("thread", ["writer", "watchdog"])
async def test_a_process_ends_with_a_thread_that_it_needs(
    new_server: NewServer, thread: str
) -> None:
    server = new_server()
    async with WsClient(server, "c", workflow="probe") as client:
        await client.message(f'kill_threads("{thread}")')
        assert await asyncio.to_thread(server.host.wait, 20) == 1

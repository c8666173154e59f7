"""Tests of what `doctor` and /health say of a database that is damaged, is locked or has no
room.
"""

import json
import resource
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import psycopg
import pytest

from tests.conftest import NewServer
from tests.http.client import Http
from tests.support.database.damage import overwrite
from tests.support.database.server_store import PostgresStore
from tests.support.polling import until
from tests.support.processes.command import run
from tests.support.running_form import CLUSTER
from tests.support.server import ROOT, Server, Template, health
from tests.support.websocket import WsClient

pytestmark = pytest.mark.every_form(reason="the other form has another database")
EVENTS = "sessions_app_event"
# Bytes that a file may have, as on a full disk; nobody but root could raise the second one again.
NO_GROWTH = (1, resource.RLIM_INFINITY)
DOCTOR = """
from django.core.management import execute_from_command_line
execute_from_command_line(["manage.py", "doctor", "--json"])
"""


@pytest.fixture
async def damaged(server: Server, tmp_path: Path) -> AsyncIterator[Server]:
    """Yield a server, not started, with a conversation whose events cannot be read any more."""
    async with WsClient(server, "c", workflow="probe") as client:
        await client.message('echo("hello")')
        await client.until_ended("completed")
    server.stop()
    damaged = Server.from_template(Template(server.store, server.cookies), tmp_path / "damaged")
    overwrite(damaged.data_dir, damaged.rows, EVENTS)
    yield damaged
    damaged.drop()


@pytest.mark.slow
async def test_health_says_that_the_database_is_damaged(damaged: Server) -> None:
    for child in damaged.children:
        child.start(damaged.environment)
    assert "damaged" in status_of(damaged, 503)
    assert damaged.get("/live").status == 200


@pytest.mark.slow
@pytest.mark.local_only("nothing here fills the disk of PostgreSQL")
def test_doctor_finds_that_the_disk_takes_nothing(server: Server) -> None:
    code = f"import resource as r; r.setrlimit(r.RLIMIT_FSIZE, {NO_GROWTH})\n{DOCTOR}"
    by_check = findings(run("-c", code, env=server.environment))
    assert by_check["writes"]["level"] == "wrong", by_check["writes"]


@pytest.mark.slow
def test_health_reports_an_unwritable_database_until_writes_succeed(new_server: NewServer) -> None:
    """Somebody has locked it, or its disk is full."""
    faults = [(new_server(), locked)] + ([] if CLUSTER else [(new_server(), full)])
    with ExitStack() as stack:
        for server, fault in faults:
            stack.enter_context(fault(server))
        for server, _ in faults:
            assert "takes no writes" in status_of(server, 503)
            assert server.get("/live").status == 200
    for server, _ in faults:
        status_of(server, 200)


@pytest.mark.slow
@pytest.mark.local_only("SQLite's own file")
def test_a_full_disk_is_explained_on_pages_that_stay_readable(new_server: NewServer) -> None:
    server = new_server()
    link = run("manage.py", "sign_in_link", "ann", env=server.environment).stdout.strip()
    path = link.removeprefix(server.url)
    ann = Http(server)
    assert ann.generate('echo("stored")', conversation_id="c1").status == 200
    with full(server):
        answer = ann.form(path, {})
        assert (answer.status, "disk may be full" in answer.text) == (503, True)
        page = ann.get("/c/c1/")
        assert (page.status, "stored" in page.text) == (200, True)
        # Whose session has no time-out yet.
        assert server.get("/c/c1/", "ben").status == 200
        response = ann.form("/c/c1/messages/", {"text": "keep me", "workflow": "probe"})
        assert (response.status, "keep me" in response.text) == (503, True)
    assert ann.form(path, {}).status == 302
    assert ann.generate('echo("more")', conversation_id="c1").status == 200


@pytest.mark.slow
@pytest.mark.local_only("SQLite's own file")
def test_a_start_on_a_full_disk_says_what_to_do(new_server: NewServer) -> None:
    server = new_server(start=False)
    for command in (["manage.py", "serve"], ["-m", "natproject.serving"]):
        process = subprocess.run(
            ["prlimit", "--fsize=1", sys.executable, *command],
            cwd=ROOT,
            env=server.environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert process.returncode != 0
        assert "Check whether its disk is full" in process.stderr
        assert "Traceback" not in process.stderr


@contextmanager
def locked(server: Server) -> Iterator[None]:
    """Somebody else writes."""
    if isinstance(server.store, PostgresStore):
        with psycopg.connect(server.store.url) as other:
            other.execute("LOCK TABLE sessions_app_process IN EXCLUSIVE MODE")
            yield
    else:
        with closing(sqlite3.connect(server.data_dir / "db.sqlite3")) as other:
            other.execute("BEGIN IMMEDIATE")
            yield


@contextmanager
def full(server: Server) -> Iterator[None]:
    """No file of the server may grow."""
    before = resource.prlimit(server.web.pid, resource.RLIMIT_FSIZE, NO_GROWTH)
    yield
    resource.prlimit(server.web.pid, resource.RLIMIT_FSIZE, before)


def findings(process: subprocess.CompletedProcess[str]) -> dict[str, dict[str, str]]:
    return {line["check"]: line for line in json.loads(process.stdout)["findings"]}


def status_of(server: Server, expected: int) -> str:
    """Wait until /health answers with the status; return what it says."""

    def told() -> str | None:
        status, text = health(server.port)
        return text if status == expected else None

    return until(told, otherwise=server.log_tail)

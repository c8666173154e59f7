"""PostgreSQL and Redis from wheels: what tests and `make cluster` do to them, they survive."""

import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest
import redis
from django.core.exceptions import ImproperlyConfigured

from natproject.cluster import programs
from natproject.cluster.programs import ServiceFailed
from natproject.cluster.servers import PostgreSQL, Redis
from tests.support.polling import until
from tests.support.processes.command import is_running
from tests.support.processes.environment import ROOT
from tests.support.server import free_port

pytestmark = pytest.mark.formless

# A process that starts both, freezes them if told so, says what runs, and waits.
STARTER = """
import sys, time
from natproject.cluster.servers import PostgreSQL, Redis
services = [kind(f"{sys.argv[1]}/{kind.name}") for kind in (PostgreSQL, Redis)]
for service in services:
    service.start()
print(*[pid for service in services for pid in service.processes()])
if sys.argv[2] == "frozen":
    for service in services:
        service.freeze()
print("done", flush=True)
time.sleep(600)
"""


@pytest.fixture(scope="module")
def postgresql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgreSQL]:
    with PostgreSQL(tmp_path_factory.mktemp("postgresql")) as service:
        yield service


def test_committed_rows_outlive_a_kill(postgresql: PostgreSQL) -> None:
    url = postgresql.create("kept")
    assert postgresql.create("kept") == url  # it is there
    with psycopg.connect(url, autocommit=True) as before:
        before.execute("CREATE TABLE kept (number int)")
        before.execute("INSERT INTO kept VALUES (1)")
        postgresql.kill()
        with pytest.raises(psycopg.OperationalError):
            before.execute("SELECT 1")
    for again in (postgresql.start, postgresql.restart):
        again()
        with psycopg.connect(url) as after:
            assert after.execute("SELECT number FROM kept").fetchall() == [(1,)]
    postgresql.drop("kept")
    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        psycopg.connect(url)


@pytest.mark.slow
def test_a_frozen_postgresql_answers_when_it_thaws(postgresql: PostgreSQL) -> None:
    with psycopg.connect(postgresql.url(), autocommit=True) as connection:
        postgresql.freeze()
        waiter = threading.Thread(target=connection.execute, args=["SELECT 1"])
        waiter.start()
        waiter.join(0.3)
        assert waiter.is_alive()
        postgresql.thaw()
        waiter.join(10)
        assert not waiter.is_alive()


def test_redis_keeps_its_url_and_nothing_else(tmp_path: Path) -> None:
    with Redis(tmp_path) as service, redis.Redis.from_url(service.url(7)) as client:
        client.set("name", "value")
        service.kill()
        with pytest.raises(redis.ConnectionError):
            client.ping()
        service.restart()
        assert client.get("name") is None


def test_redis_starts_with_a_long_path_and_a_port(tmp_path: Path) -> None:
    with Redis(tmp_path / ("long" * 30), free_port()) as service:
        assert service.url(1).startswith(f"redis://127.0.0.1:{service.port}/1")
        assert service.answers()


@pytest.mark.slow
@pytest.mark.parametrize("state", ["running", "frozen"])
def test_services_end_with_the_process_that_started_them(tmp_path: Path, state: str) -> None:
    starter = subprocess.Popen(
        [sys.executable, "-c", STARTER, str(tmp_path), state],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert starter.stdout is not None
    processes = [psutil.Process(int(pid)) for pid in starter.stdout.readline().split()]
    assert starter.stdout.readline() == "done\n"
    assert len(processes) > 5
    starter.kill()
    starter.communicate()
    until(
        lambda: not any(map(is_running, processes)),
        otherwise=lambda: list(filter(is_running, processes)),
    )


def test_a_service_that_fails_to_start_raises_the_reason(tmp_path: Path) -> None:
    with Redis(tmp_path / "first", free_port()) as first:
        second = Redis(tmp_path / "second", first.port)
        # Whoever listens there answers; what was started has ended.
        second.answers = lambda: False  # type: ignore[method-assign] # only for this test
        with pytest.raises(ServiceFailed, match="Address already in use"):
            second.start()


def test_a_missing_package_is_named_with_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("POSTGRESQL_BIN", raising=False)
    monkeypatch.setattr(programs, "find_spec", lambda _name: None)
    with pytest.raises(ImproperlyConfigured, match="install -r natproject/cluster/requirements"):
        PostgreSQL(tmp_path).start()


def test_variables_replace_the_programs_of_the_wheels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTGRESQL_BIN", "/bin")
    monkeypatch.setenv("REDIS_SERVER", "sh")
    assert programs.postgresql_program("sh") == "/bin/sh"
    assert programs.redis_program() == shutil.which("sh")


@pytest.mark.parametrize(
    ("variable", "service", "program"),
    [
        ("POSTGRESQL_BIN", PostgreSQL, "/no/where/initdb"),
        ("REDIS_SERVER", Redis, "/no/where"),
    ],
)
def test_a_missing_program_is_named_with_its_variable(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
    service: type[PostgreSQL | Redis],
    program: str,
) -> None:
    monkeypatch.setenv(variable, "/no/where")
    with pytest.raises(ImproperlyConfigured, match=f"{program} is missing.*unset {variable}"):
        service(tmp_path).start()

"""Tests of the settings of the cluster form: their use, and what is said of wrong ones."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from natproject.cluster.servers import PostgreSQL, Redis
from sessions_app.storage import databases
from tests.support.processes.command import run
from tests.support.processes.environment import HOST, environment
from tests.support.server import free_port

pytestmark = pytest.mark.formless
MORE_MISTAKES = pytest.mark.beyond("a start says what else may be wrong with a database")

LATIN1 = "CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0"
REDIS = f"redis://:hush@{HOST}:6379/0"


@pytest.mark.parametrize(
    ("url", "host", "port", "name"),
    [
        ("postgresql://u:p%40ss@db:6432/chat", "db", "6432", "chat"),
        ("postgres://u:p%40ss@a,b:1/chat?target_session_attrs=read-write", "a,b", ",1", "chat"),
        ("postgresql://u:p%40ss@/chat?host=/run/postgresql", "/run/postgresql", "", "chat"),
        ("postgresql:///?host=/run&dbname=chat&user=u&password=p%40ss", "/run", "", "chat"),
    ],
)
def test_a_database_url_becomes_django_settings(url: str, host: str, port: str, name: str) -> None:
    databases.check_postgresql_url(url)
    entry = databases.postgresql(url)
    assert (entry["HOST"], entry["PORT"], entry["NAME"]) == (host, port, name)
    assert (entry["USER"], entry["PASSWORD"]) == ("u", "p@ss")


def test_a_url_may_set_options_beside_ours() -> None:
    entry = databases.postgresql("postgresql://h/chat?options=-c%20work_mem%3D8MB&sslmode=require")
    assert entry["OPTIONS"]["sslmode"] == "require"
    assert "lock_timeout" in entry["OPTIONS"]["options"]
    assert entry["OPTIONS"]["options"].endswith("-c work_mem=8MB")


@pytest.fixture(scope="module")
def postgresql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgreSQL]:
    """Yield a PostgreSQL without our tables, which asks `chat` for a password over the network."""
    with PostgreSQL(tmp_path_factory.mktemp("pg"), free_port()) as service:
        access = service.data / "pg_hba.conf"
        access.write_text("local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n")
        with psycopg.connect(service.url(), autocommit=True) as connection:
            connection.execute("CREATE ROLE chat LOGIN PASSWORD 'right'")
            connection.execute("SELECT pg_reload_conf()")
        service.create("empty")
        with psycopg.connect(service.url(), autocommit=True) as connection:
            connection.execute(LATIN1)
        yield service


def start(tmp_path: Path, *command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Start a process of the cluster that does not get far."""
    return run(*command, env=environment(tmp_path, **variables))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("user", "name", "why", "remedy"),
    [
        ("chat:wrong", "empty", "password authentication failed", "Fix the user and the password"),
        pytest.param(
            *("chat", "empty", "no password supplied", "Fix the user and the password"),
            marks=MORE_MISTAKES,
        ),
        pytest.param(
            *("chat:right", "chat", 'database "chat" does not exist', "createdb chat"),
            marks=MORE_MISTAKES,
        ),
        ("chat:right", "empty", "The database is not up to date", "manage.py migrate"),
        pytest.param(
            *("chat:right", "latin", "The encoding of the database latin is LATIN1"),
            "encoding=UTF8",
            marks=MORE_MISTAKES,
        ),
    ],
)
def test_a_start_says_what_is_wrong_with_postgresql(
    tmp_path: Path, postgresql: PostgreSQL, user: str, name: str, why: str, remedy: str
) -> None:
    url = f"postgresql://{user}@{HOST}:{postgresql.port}/{name}"
    process = start(tmp_path, "manage.py", "worker", DATABASE_URL=url, REDIS_URL=REDIS)
    assert process.returncode == 1
    last = process.stderr.splitlines()[-1]
    assert why in last
    assert remedy in last
    assert "wrong" not in process.stderr
    assert "Traceback" not in process.stderr


@pytest.mark.slow
@pytest.mark.parametrize("command", ["-m daphne", pytest.param("-m uvicorn", marks=MORE_MISTAKES)])
def test_a_web_process_ends_without_postgresql(tmp_path: Path, command: str) -> None:
    url = f"postgresql://chat:hidden@{HOST}:{free_port()}/chat"
    module = [*command.split(), "--port", str(free_port()), "natproject.asgi:application"]
    process = start(tmp_path, *module, DATABASE_URL=url, REDIS_URL=REDIS)
    assert process.returncode != 0
    assert "Connection refused" in process.stderr
    assert "Start it, or fix the host and the port in DATABASE_URL." in process.stderr
    assert "hidden" not in process.stderr
    assert "Traceback" not in process.stderr


@pytest.mark.slow
def test_without_redis_it_starts_with_a_warning(tmp_path: Path, postgresql: PostgreSQL) -> None:
    redis = Redis(tmp_path)
    code = (
        "import django; django.setup(); from sessions_app.lifecycle.start_checks import *\n"
        "try: check_start()\n"
        "except ImproperlyConfigured as error: assert 'migrate' in str(error)"
    )
    urls = {"DATABASE_URL": postgresql.url("empty"), "REDIS_URL": redis.url()}
    warned = start(tmp_path, "-c", code, **urls)
    assert warned.returncode == 0
    assert "redis.unreachable" in warned.stderr
    assert "Check REDIS_URL" in warned.stderr
    with redis:
        assert start(tmp_path, "-c", code, **urls).stderr == ""

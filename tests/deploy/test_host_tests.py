"""A project's own tests, run by `manage.py test` and pytest, on each database and in parallel."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import urlencode
from uuid import uuid4

import psycopg
import pytest
from django.apps import apps
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from tests.support.host_site.lines import Line
from tests.support.host_site.site import environment
from tests.support.processes.environment import ROOT

pytestmark = pytest.mark.slow

TESTS = "tests.support.host_site.desk.tests"
IN_FILE = 'DATABASES["default"]["TEST"] = {"NAME": DATA / "test.sqlite3"}'
POSTGRESQL = (
    "from sessions_app.storage.databases import postgresql",
    'DATABASES = {"default": postgresql(os.environ["DATABASE_URL"])}',
)


def django_entry(options: str = "") -> tuple[str, ...]:
    """Return settings that name the database as Django's documentation does."""
    return (
        *POSTGRESQL,
        'options = DATABASES["default"]["OPTIONS"]',
        f'DATABASES["default"]["OPTIONS"] = {{name: options[name] for name in ("host", "port") '
        f"if name in options}} | {{{options}}}",
    )


@pytest.fixture
def role() -> Iterator[str]:
    """Return a user of PostgreSQL with a database, both of which are dropped at the end."""
    name = f"host_{uuid4().hex[:12]}"
    url = os.environ["DATABASE_URL"]
    with closing(psycopg.connect(url, autocommit=True)) as connection:
        role = sql.Identifier(name)
        connection.execute(sql.SQL("CREATE ROLE {} LOGIN CREATEDB").format(role))
        connection.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(role, role))
        yield name
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(role))
        connection.execute(sql.SQL("DROP ROLE {}").format(role))


def url_of(role: str) -> str:
    """Return the URL of the user's database."""
    parameters = conninfo_to_dict(os.environ["DATABASE_URL"]) | {"user": role, "dbname": role}
    return f"postgresql:///?{urlencode(parameters)}"


def alter(role: str, change: str) -> None:
    """Change the user's defaults."""
    with closing(psycopg.connect(os.environ["DATABASE_URL"], autocommit=True)) as connection:
        connection.execute(f"ALTER ROLE {role} {change}".encode())


def run(
    data: Path, *arguments: str, settings: tuple[str, ...] = (), role: str = ""
) -> tuple[int, str]:
    """Run a module of Python in the project; return its exit status and output."""
    if role:
        settings = (*settings, 'DATABASES["default"]["USER"] = os.environ["HOST_ROLE"]')
    env = environment(Line("", settings="\n".join(settings)), data)
    if role:
        env |= {"HOST_ROLE": role, "DATABASE_URL": url_of(role)}
    process = subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=ROOT,
        env={**env, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )
    return process.returncode, process.stdout + process.stderr


def check_tests(data: Path, *arguments: str, settings: tuple[str, ...], role: str = "") -> None:
    status, output = run(
        data, "django", "test", TESTS, "--noinput", *arguments, settings=settings, role=role
    )
    assert status == 0, output
    assert "Ran 21 tests" in output, output
    assert re.search("^OK$", output, re.MULTILINE), output
    assert "being accessed" not in output


PARALLEL = pytest.mark.parametrize("parallel", ["1", "2"])


@PARALLEL
@pytest.mark.parametrize("settings", [(), (IN_FILE,)], ids=["in memory", "in a file"])
@pytest.mark.local_only("it has SQLite")
def test_on_sqlite(settings: tuple[str, ...], parallel: str, tmp_path: Path) -> None:
    check_tests(tmp_path, "--parallel", parallel, settings=settings)


@PARALLEL
@pytest.mark.parametrize(
    "settings",
    [POSTGRESQL, django_entry(), django_entry('"pool": {"max_size": 20}')],
    ids=["the entry of the package", "Django's entry", "Django's pool"],
)
@pytest.mark.cluster_only("it needs PostgreSQL")
def test_on_postgresql(settings: tuple[str, ...], parallel: str, tmp_path: Path, role: str) -> None:
    check_tests(tmp_path, "--parallel", parallel, settings=settings, role=role)


PYTEST = (
    *("pytest", "-q", "--noconftest", "-p", "no:cacheprovider", "-p", "no:randomly"),
    *("-p", "sessions_app.contrib.testing.plugin", "-o", "asyncio_mode=auto"),
    *("-o", "python_files=*.py", "-c", os.devnull, f"--rootdir={ROOT}"),
    *(f"tests/support/host_site/desk/{name}.py" for name in ("tests", "functions")),
)


@pytest.mark.local_only("it has SQLite")
def test_by_pytest_on_sqlite(tmp_path: Path) -> None:
    status, output = run(tmp_path, *PYTEST, settings=(IN_FILE,))
    assert status == 0, output
    assert "25 passed" in output


@pytest.mark.cluster_only("it needs PostgreSQL")
def test_by_pytest_on_postgresql(tmp_path: Path, role: str) -> None:
    status, output = run(tmp_path, *PYTEST, settings=POSTGRESQL, role=role)
    assert status == 0, output
    assert "25 passed" in output


@pytest.mark.cluster_only("it needs PostgreSQL")
@pytest.mark.parametrize("pool", ["True", '{"min_size": 2, "max_size": 4}', '{"max_size": 10}'])
def test_a_pool_that_is_too_small_is_refused(pool: str, tmp_path: Path, role: str) -> None:
    settings = django_entry(f'"pool": {pool}')
    status, output = run(tmp_path, "django", "check", settings=settings, role=role)
    assert status == 1
    assert "sessions_app.E109" in output
    assert 'DATABASES["default"]["OPTIONS"]["pool"] = {"max_size": 20}' in output
    settings = django_entry('"pool": {"max_size": 20}')
    assert run(tmp_path, "django", "check", settings=settings, role=role)[0] == 0


DATABASE_CHECK = (
    *("django", "shell", "-c"),
    "from sessions_app.lifecycle.findings import examine, in_words\n"
    "from sessions_app.lifecycle.requirements import DATABASE\n"
    "print([(one.id, in_words(one)) for one in examine([DATABASE])])",
)


@pytest.mark.cluster_only("it needs PostgreSQL")
def test_a_user_with_too_few_connections_is_named(tmp_path: Path, role: str) -> None:
    alter(role, "CONNECTION LIMIT 0")
    _, output = run(tmp_path, *DATABASE_CHECK, settings=django_entry(), role=role)
    assert f"ALTER ROLE {role} CONNECTION LIMIT" in output


@pytest.mark.cluster_only("it needs PostgreSQL")
def test_other_defaults_of_a_user(tmp_path: Path, role: str) -> None:
    alter(role, "SET DateStyle = 'German'")
    alter(role, "SET default_transaction_isolation = 'serializable'")
    check_tests(tmp_path, settings=POSTGRESQL, role=role)
    # Django's own entry cannot read a time: the check says so, and what to do.
    status, output = run(tmp_path, *DATABASE_CHECK, settings=django_entry(), role=role)
    assert status == 0, output
    assert "sessions_app.E104" in output
    assert f"ALTER ROLE {role} SET DateStyle = 'ISO'" in output


def test_a_system_that_is_not_meant_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    config = apps.get_app_config("sessions_app")
    monkeypatch.setattr(os, "name", "nt")
    with pytest.raises(SystemExit, match="Linux and macOS"):
        config.ready()

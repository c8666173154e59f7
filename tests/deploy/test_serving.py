"""Tests of how the application is started, and what a person who starts it is told."""

import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import expect

from natproject.settings import env
from tests.conftest import NewServer
from tests.support.browser import Console, OpenPage
from tests.support.processes.command import run
from tests.support.server import HOST, ROOT, STOPPED, Ended, Server, environment, free_port
from tests.support.sign_in_link import browse, page_text, press

CLUSTER = {
    "DATABASE_URL": "postgresql://chat:se%40cret@127.0.0.1:5432/chat",
    "REDIS_URL": "redis://:hush@127.0.0.1:6379/0",
    "SECRET_KEY": "k" * 50,
}
NO_URL, NO_REDIS = (rf"{name} cannot be used \(" for name in ("DATABASE_URL", "REDIS_URL"))
HTTPS = {"HTTPS": "true"}


def manage(env: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return run("manage.py", *arguments, env=env)


@contextmanager
def serving(data_dir: Path, port: int) -> Iterator[str]:
    """Run `manage.py serve`; gives the sign-in link that it prints."""
    process = subprocess.Popen(
        [sys.executable, "manage.py", "serve"],
        cwd=ROOT,
        env=environment(data_dir, PORT=str(port)),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        match = re.fullmatch(r"Sign in: (http://\S+)\n", line)
        assert match, line + process.stdout.read()
        yield match[1]
    finally:
        process.kill()
        process.communicate()


@pytest.mark.slow
def test_the_printed_link_signs_in_once(tmp_path: Path) -> None:
    port = free_port()
    with serving(tmp_path, port) as link:
        assert link.startswith(f"http://{HOST}:{port}/sign-in/link/?sesame=")
        first = browse()
        assert "/sign-in/" not in press(first, link)[0]
        assert page_text(first, f"http://{HOST}:{port}/admin/")[0].endswith("/admin/")
        where, page = press(browse(), link)
        assert "/sign-in/" in where
        assert "sign_in_link" in page
    with serving(tmp_path, port) as link:  # the next start prints another
        assert "/sign-in/" not in press(browse(), link)[0]


@pytest.mark.slow
def test_a_taken_port_is_named_with_a_way_out(tmp_path: Path) -> None:
    with socket.create_server((HOST, 0)) as other:
        port = other.getsockname()[1]
        process = manage(environment(tmp_path, PORT=str(port)), "serve")
    assert process.returncode != 0
    assert f"Port {port} is taken" in process.stderr
    assert f"PORT={port + 1} make run" in process.stderr


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("PORT", "eighty", "PORT=eighty cannot be used .*a number from 1 to 65535"),
        ("PORT", "70000", "PORT=70000 cannot be used .*a number from 1 to 65535"),
        ("FILES_DIR", "~no-one/x", "FILES_DIR=~no-one/x cannot .*not determine home directory."),
        ("DEBUG", "perhaps", "DEBUG=perhaps cannot be used .*true or false"),
        ("PARK_AFTER", "-1", "PARK_AFTER=-1 cannot be used .*seconds, 0 or more"),
        ("LOG_LEVEL", "LOUD", "LOG_LEVEL=LOUD cannot be used .*DEBUG, INFO, WARNING"),
        ("CSRF_TRUSTED_ORIGINS", "x.org", "CSRF_TRUSTED_ORIGINS=x.org cannot .*https://chat"),
        ("DATA_DIR", "/dev/null/data", "DATA_DIR: .*/dev/null"),
        # Of a cluster
        ("DATABASE_URL", "", ".*and DATABASE_URL is not"),
        ("REDIS_URL", "", ".*and REDIS_URL is not"),
        ("SECRET_KEY", "", "SECRET_KEY is missing.*token_urlsafe"),
        ("DATABASE_URL", "mysql://u:pass@h/chat", f"{NO_URL}.*postgresql://"),
        ("DATABASE_URL", "postgresql://u:p%ass@h/chat", f"{NO_URL}.*libpq cannot read this URL"),
        ("DATABASE_URL", "postgresql://u:pass@h/c?pass=1", f"{NO_URL}.*libpq cannot read this URL"),
        ("DATABASE_URL", "postgresql://u:pass@h:port/c", f"{NO_URL}.*its port is not a number"),
        ("DATABASE_URL", "postgresql://u:pass@h", f"{NO_URL}.*names no database"),
        ("REDIS_URL", "http://:pass@h", f"{NO_REDIS}.*redis://"),
        ("REDIS_URL", "redis://:pass@h:port/0", f"{NO_REDIS}.*cannot be read"),
        ("REDIS_URL", "redis://:pass@h?socket_timeout=pass", f"{NO_REDIS}.*cannot be read"),
    ],
)
def test_a_wrong_value_is_named_with_what_to_write_and_without_a_password(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, says: str
) -> None:
    for variable, text in {**(CLUSTER if name in CLUSTER else {}), name: value}.items():
        monkeypatch.setenv(variable, text)
    with pytest.raises(SystemExit) as error_info:
        env.load()
    message = str(error_info.value)
    assert re.match(says, message, re.DOTALL)
    assert not re.search("pass@|=pass|p%ass", message)


@pytest.mark.parametrize(
    ("variables", "name", "value"),
    [
        (CLUSTER, "DATABASE_URL", CLUSTER["DATABASE_URL"]),
        ({"PORT": ""}, "PORT", 8000),
        ({"HOME": "/nowhere", "FILES_DIR": "~/files"}, "FILES_DIR", Path("/nowhere/files")),
        # Links lead where people reach the site.
        ({}, "public_url", "http://127.0.0.1:8000"),
        ({"HOST": "::", "PORT": "9000"}, "public_url", "http://[::1]:9000"),
        ({**HTTPS, "ALLOWED_HOSTS": ".other.org,x.org"}, "public_url", "https://x.org"),
        ({**HTTPS, "ALLOWED_HOSTS": "x.org", "MAIL": "now"}, "public_url", "https://x.org"),
        (HTTPS, "public_url", "http://127.0.0.1:8000"),
        ({**HTTPS, "PUBLIC_URL": "https://x.org:84/"}, "public_url", "https://x.org:84"),
    ],
    ids=str,
)
def test_a_value_has_a_default_or_is_taken_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], name: str, value: object
) -> None:
    for variable, text in variables.items():
        monkeypatch.setenv(variable, text)
    assert getattr(env.load(), name) == value


def test_a_secret_is_made_once_and_kept_private(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "new"))
    monkeypatch.delenv("SECRET_KEY", raising=False)
    first = env.load().SECRET_KEY
    assert len(first) >= 50
    assert first == env.load().SECRET_KEY
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "new" / "secret_key").stat().st_mode & 0o777 == 0o600


@pytest.mark.slow
def test_a_link_makes_a_plain_user_or_an_administrator(new_server: NewServer) -> None:
    server = new_server(start=False)
    assert "/sign-in/link/?sesame=" in manage(server.environment, "sign_in_link", "carla").stdout
    manage(server.environment, "sign_in_link", "dora", "--superuser")
    users = server.rows("SELECT * FROM auth_user WHERE username IN ('carla', 'dora')")
    assert {(u["username"], u["is_staff"], u["is_superuser"]) for u in users} == {
        ("carla", 0, 0),
        ("dora", 1, 1),
    }
    assert all(user["password"].startswith("!") for user in users)


def test_a_database_without_migrations_is_refused(tmp_path: Path) -> None:
    server = Server.empty(tmp_path)
    with pytest.raises(AssertionError, match=r"ended with 1:[^$]*manage.py migrate"):
        server.start()


def test_static_files_come_without_debug(shared: Server) -> None:
    answer = shared.get("/static/admin/css/base.css")
    assert answer.status == 200
    assert answer.headers["ETag"]
    assert "synchronous iterator" not in shared.log


@pytest.mark.slow
def test_the_admin_works_under_that_policy(open_page: OpenPage, console: Console) -> None:
    console.allow("favicon.ico")  # Django's admin names no icon
    page = open_page("/admin/auth/user/", user="admin")
    page.get_by_role("link", name="ben").click()
    expect(page.get_by_role("button", name="Save", exact=True)).to_be_visible()


def test_a_stop_ends_the_process_cleanly(server: Server) -> None:
    server.until_workers()
    processes = [child.process for child in server.children]
    server.stop()
    assert {process.returncode for process in processes} == {STOPPED}
    assert "Traceback" not in server.log


@pytest.mark.slow
@pytest.mark.parametrize("url", ["", "http://chat.example"])
def test_mails_and_webhooks_have_the_address_that_is_named(tmp_path: Path, url: str) -> None:
    """Without a named address, links have the host by which people came."""
    code = "from django.conf import settings; print(settings.HITL['PUBLIC_URL'])"
    process = manage(environment(tmp_path, PUBLIC_URL=url), "shell", "--verbosity=0", "-c", code)
    assert process.stdout.strip() == url


@pytest.mark.slow
def test_an_ipv6_host_stands_in_brackets_wherever_it_is_part_of_an_address(tmp_path: Path) -> None:
    code = (
        "from django.conf import settings as s;"
        "print(s.ALLOWED_HOSTS[-1], s.PUBLIC_URL, s.HITL['HEALTH_URL'])"
    )
    variables = environment(tmp_path, HOST="fd00::5", PORT="81", ALLOWED_HOSTS="")
    process = manage(variables, "shell", "--verbosity=0", "-c", code)
    assert process.stdout.split() == [
        "[fd00::5]",
        "http://[fd00::5]:81",
        "http://[fd00::5]:81/health",
    ]


@pytest.mark.slow
@pytest.mark.local_only("many processes share PostgreSQL")
def test_a_second_server_on_the_same_data_ends_with_the_reason(server: Server) -> None:
    second = Server(server.data_dir, server.cookies, server.store)
    with pytest.raises(
        Ended, match=r"ended with \d:\n.*Another server is at work on .*db.sqlite3: "
    ):
        second.start()
    server.kill()
    second.restart()
    second.kill()

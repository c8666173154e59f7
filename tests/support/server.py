"""A real server for a test: Daphne in a child process, with a database of its own."""

import http.client
import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from natproject.serving import daphne_arguments

ROOT = Path(__file__).resolve().parents[2]
HOST = "127.0.0.1"
USERS = ["admin", "ann", "ben", *(f"user{n}" for n in range(20))]


def free_port() -> int:
    """Return a port that nothing uses now."""
    with socket.create_server((HOST, 0)) as listener:
        return int(listener.getsockname()[1])


def environment(data_dir: Path, **extra: str) -> dict[str, str]:
    """Return the whole environment of a child process; nothing of a developer's gets in."""
    return {
        "PATH": os.environ["PATH"],
        "ENV_FILE": os.devnull,
        "DJANGO_SETTINGS_MODULE": "natproject.settings",
        "PYTHONUNBUFFERED": "1",
        "HOST": HOST,
        "DATA_DIR": str(data_dir),
        "SECRET_KEY": "only-for-tests-" + "x" * 50,
        "PROBE_WORKFLOW": "1",
        "PROBE_LOG": str(data_dir / "probe.log"),
        **extra,
    }


def seed(data_dir: Path, users: list[str]) -> dict[str, str]:
    """Migrate the database of `data_dir` and make users; return their session cookies by name."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.seed"],
        cwd=ROOT,
        env=environment(data_dir),
        input=json.dumps(users),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    cookies: dict[str, str] = json.loads(done.stdout)
    return cookies


class Ended(AssertionError):
    """The server ended before it answered."""


@dataclass
class Response:
    """What a server answered: redirects are not followed."""

    status: int
    headers: http.client.HTTPMessage
    text: str

    def json(self) -> Any:
        """Return the body, parsed."""
        return json.loads(self.text)


@dataclass
class Server:
    """A server with its data. It keeps both over `kill` and `restart`."""

    data_dir: Path
    cookies: dict[str, str]
    env: dict[str, str] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    was_killed: bool = False
    _process: subprocess.Popen[bytes] | None = None

    @classmethod
    def from_template(cls, template: Path, data_dir: Path, **env: str) -> "Server":
        """Make a server, not started, whose database begins as a copy of the template's."""
        shutil.copytree(template, data_dir)
        return cls(data_dir, json.loads((template / "cookies.json").read_text()), env)

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The running child process."""
        assert self._process is not None, "the server is not running"
        return self._process

    @property
    def url(self) -> str:
        """The origin, without a slash at its end."""
        return f"http://{HOST}:{self.port}"

    @property
    def log(self) -> str:
        """All that the server has printed, over all its starts."""
        path = self.data_dir / "server.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def start(self, timeout: float = 30) -> None:
        """Start, and wait until it answers."""
        assert self._process is None, "the server is running"
        with (self.data_dir / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "daphne", *daphne_arguments(HOST, self.port)],
                cwd=ROOT,
                env=environment(self.data_dir, PORT=str(self.port), **self.env),
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        deadline = time.monotonic() + timeout
        while not self._answers():
            ended = self._process.poll()
            if ended is not None:
                raise Ended(f"the server ended with {ended}:\n{self.log_tail()}")
            assert time.monotonic() < deadline, f"no answer in {timeout} s:\n{self.log_tail()}"
            time.sleep(0.05)

    def kill(self) -> None:
        """Kill with SIGKILL, as `kill -9` does."""
        self._end(signal.SIGKILL)
        self.was_killed = True

    def stop(self) -> None:
        """Ask to stop with SIGTERM, and wait until it has."""
        self._end(signal.SIGTERM)
        self.was_killed = True

    def restart(self, **env: str) -> None:
        """Start again on the same port and data, killed before if still running."""
        if self._process is not None:
            self.kill()
        self.env |= env
        self.start()

    def create_users(self, count: int, prefix: str = "many") -> list[str]:
        """Make users `many0`… with sessions, also while the server runs; return their names."""
        names = [f"{prefix}{n}" for n in range(count)]
        self.cookies |= seed(self.data_dir, names)
        return names

    def get(self, path: str, user: str | None = None) -> Response:
        """GET a path, as a user if one is named."""
        connection = http.client.HTTPConnection(HOST, self.port, timeout=10)
        cookie = {"Cookie": f"sessionid={self.cookies[user]}"} if user else {}
        try:
            connection.request("GET", path, headers=cookie)
            answer = connection.getresponse()
            return Response(answer.status, answer.headers, answer.read().decode())
        finally:
            connection.close()

    def rows(self, sql: str, *parameters: object) -> list[dict[str, Any]]:
        """Return what a query reads from the server's database, whether it runs or not."""
        database = sqlite3.connect(self.data_dir / "db.sqlite3", timeout=20)
        database.row_factory = sqlite3.Row
        try:
            return [dict(row) for row in database.execute(sql, parameters)]
        finally:
            database.close()

    def execute(self, sql: str) -> None:
        """Change the server's database, as somebody else's hand would."""
        database = sqlite3.connect(self.data_dir / "db.sqlite3", timeout=20)
        try:
            with database:
                database.execute(sql)
        finally:
            database.close()

    def log_tail(self, lines: int = 40) -> str:
        """Return the end of the log."""
        return "\n".join(self.log.splitlines()[-lines:])

    def _answers(self) -> bool:
        try:
            return self.get("/health").status == 200
        except (OSError, http.client.HTTPException):
            return False

    def _end(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(20)
            self._process = None

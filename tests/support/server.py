"""A real server for a test, with its own database.

In the form of one process, the server is Daphne (or uvicorn) in a child process. In the form of
many processes, it is a web process with one worker, or as many as the test wants.
"""

import http.client
import json
import signal
import socket
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from natproject import serving
from tests.support.database.server_store import Store, empty_store
from tests.support.polling import PATIENCE, until
from tests.support.processes.child import Child
from tests.support.processes.command import run
from tests.support.processes.environment import COVERAGE, HOST, ROOT, environment
from tests.support.running_form import CLUSTER, UVICORN

__all__ = [
    "HOST",
    "ROOT",
    "STOPPED",
    "USERS",
    "Ended",
    "Response",
    "Server",
    "Template",
    "environment",
]

# Exit status of a web process after a graceful stop: uvicorn sends itself the signal again.
STOPPED = -signal.SIGTERM if UVICORN else 0
# Queries whose rows are printed if a server's test fails.
STORY = (
    "SELECT id, key, status, sequence, wake_at, crashes, stop_requested_at FROM sessions_app_run",
    "SELECT id, run_id, name, expires_at FROM sessions_app_interaction WHERE status = 'pending'",
    "SELECT key, worker, generation, released_at FROM sessions_app_hostlease",
)
JOBS = (
    "SELECT id, status, lock, worker_id FROM procrastinate_jobs WHERE status IN ('todo', 'doing')",
    "SELECT id, last_heartbeat FROM procrastinate_workers",
)
# Query for workers with a recent heartbeat that have not been declared dead.
ALIVE = "SELECT 1 FROM procrastinate_workers WHERE last_heartbeat > now() - interval '5 seconds'"
USERS = ["admin", "ann", "ben", *(f"user{n}" for n in range(20))]


def free_port() -> int:
    """Return a port that no other process gets by chance while this process lives.

    A server may take seconds until it listens, also between two starts. Meanwhile a socket is bound
    to the port without listening; a process that knows the port may still listen.
    """
    reserved = socket.socket()
    reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    reserved.bind((HOST, 0))
    port = int(reserved.getsockname()[1])
    reserved.detach()
    return port


def health(port: int, path: str = "/health") -> tuple[int, str]:
    """Return status and text of a web process's health page; status 0 without an answer."""
    connection = http.client.HTTPConnection(HOST, port, timeout=10)
    try:
        connection.request("GET", path)
        with connection.getresponse() as answer:
            return answer.status, answer.read().decode()
    except (OSError, http.client.HTTPException):
        return 0, ""
    finally:
        connection.close()


class Ended(AssertionError):
    """The error that the server ended before it answered."""


@dataclass
class Response:
    """The response of a server; redirects are not followed."""

    status: int
    headers: http.client.HTTPMessage
    text: str

    def json(self) -> Any:
        return json.loads(self.text)


@dataclass
class Template:
    """A migrated store with users and their sessions, copied for each new server."""

    store: Store
    cookies: dict[str, str]

    @classmethod
    def make(cls, directory: Path, users: list[str]) -> "Template":
        store = empty_store(directory)
        return cls(store, seed(directory, users, **store.environment))


def seed(data_dir: Path, users: list[str], **store: str) -> dict[str, str]:
    """Migrate the store that the variables name, and create users; return their session cookies."""
    process = run(
        "-m",
        "tests.support.database.migrate_and_seed",
        env=environment(data_dir, **store),
        stdin=json.dumps(users),
    )
    assert process.returncode == 0, process.stderr
    cookies: dict[str, str] = json.loads(process.stdout)
    return cookies


@dataclass
class Server:
    """A server and its data, which survive `kill` and `restart`.

    `web` and `workers` are its processes; a single process does the work of both, without workers.
    """

    data_dir: Path
    cookies: dict[str, str]
    store: Store
    env: dict[str, str] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    was_killed: bool = False
    worker_count: int = 1
    worker_options: tuple[str, ...] = ()
    web_options: tuple[str, ...] = ()
    web: Child = field(init=False)
    workers: list[Child] = field(init=False)

    def __post_init__(self) -> None:
        self.web = Child(
            self.data_dir / "web.log", "-m", *_web_command(self.port), *self.web_options
        )
        self.workers = [
            Child(
                self.data_dir / f"worker{number}.log", "manage.py", "worker", *self.worker_options
            )
            for number in range(self.worker_count if CLUSTER else 0)
        ]

    @classmethod
    def from_template(
        cls,
        template: Template,
        data_dir: Path,
        *,
        workers: int = 1,
        worker_options: tuple[str, ...] = (),
        web_options: tuple[str, ...] = (),
        workflows: str = "",
        **env: str,
    ) -> "Server":
        """Create a server, not started, with a copy of the template's rows.

        `workflows` is a workflows file in YAML that replaces the usual one of the tests.
        """
        data_dir.mkdir()
        if workflows:
            (data_dir / "workflows.yaml").write_text(workflows)
            env["WORKFLOWS_FILE"] = str(data_dir / "workflows.yaml")
        store = template.store.copy(data_dir)
        cookies = dict(template.cookies)
        return cls(
            data_dir,
            cookies,
            store,
            env,
            worker_count=workers,
            worker_options=worker_options,
            web_options=web_options,
        )

    @classmethod
    def empty(cls, data_dir: Path) -> "Server":
        """Create a server without tables and users, not started."""
        return cls(data_dir, {}, empty_store(data_dir))

    @property
    def children(self) -> list[Child]:
        return [self.web, *self.workers]

    @property
    def host(self) -> Child:
        """Return the process that hosts runs; of several workers the first."""
        return self.workers[0] if self.workers else self.web

    @property
    def environment(self) -> dict[str, str]:
        """Return the whole environment of one of the server's processes."""
        here = self.store.environment | {"PORT": str(self.port)}
        return environment(self.data_dir, **(here | self.env))

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    @property
    def log(self) -> str:
        """Return the output of the server since its first start."""
        return "".join(child.log for child in self.children)

    def start(self, timeout: float = PATIENCE) -> None:
        """Start the server, and wait until it answers. Workers may take a moment longer."""
        for child in self.children:
            child.start(self.environment)

        def answers() -> bool:
            well = health(self.port)[0] == 200
            if not well and (exit_status := self.web.process.poll()) is not None:
                raise Ended(f"the server ended with {exit_status}:\n{self.log_tail()}")
            return well

        until(answers, timeout, otherwise=self.log_tail)

    def until_workers(self, timeout: float = PATIENCE) -> None:
        """Wait until all workers accept jobs."""
        if self.workers:
            count = len(self.workers)
            until(lambda: len(self.rows(ALIVE)) >= count, timeout, otherwise=self.log_tail)

    def kill(self) -> None:
        """Kill all processes of the server with SIGKILL, as `kill -9` does."""
        for child in self.children:
            child.kill()
        self.was_killed = True
        if self.workers:
            self._age()

    def stop(self) -> None:
        """Stop all processes with SIGTERM, and wait for their end."""
        for child in self.children:
            child.stop()
        self.was_killed = True

    def restart(self, **env: str) -> None:
        """Start again on the same port and data; kill the running processes first."""
        if any(child.started for child in self.children):
            self.kill()
        self.env |= env
        self.start()

    def drop(self) -> None:
        """Kill the server, and remove its data; if coverage is measured, let it write its part."""
        if COVERAGE and all(child.started for child in self.children):
            self.stop()
        self.kill()
        self.store.drop()

    def create_users(self, count: int, prefix: str = "many") -> list[str]:
        """Create users `many0`… with sessions, even while the server runs; return their names."""
        names = [f"{prefix}{n}" for n in range(count)]
        self.cookies |= seed(self.data_dir, names, **self.store.environment)
        return names

    def get(self, path: str, user: str | None = None) -> Response:
        """Request a path with GET, optionally as a user."""
        connection = http.client.HTTPConnection(HOST, self.port, timeout=PATIENCE)
        cookie = {"Cookie": f"sessionid={self.cookies[user]}"} if user else {}
        try:
            connection.request("GET", path, headers=cookie)
            with connection.getresponse() as answer:  # the response owns the socket
                return Response(answer.status, answer.headers, answer.read().decode())
        finally:
            connection.close()

    def sign_out(self, user: str) -> None:
        """End the user's session, as the page's button does."""
        token = "x" * 32
        headers = {
            "Cookie": f"sessionid={self.cookies[user]}; csrftoken={token}",
            "X-CSRFToken": token,
            "Content-Length": "0",
        }
        connection = http.client.HTTPConnection(HOST, self.port, timeout=10)
        connection.request("POST", "/sign-out/", headers=headers)
        with connection.getresponse() as answer:
            assert answer.status == 302
        connection.close()

    def rows(self, sql: str, *parameters: object) -> list[dict[str, Any]]:
        """Return the rows of a query on the server's store, even while the server is down."""
        return self.store.rows(sql, *parameters)

    def execute(self, sql: str, *parameters: object) -> None:
        """Change the server's store, as somebody with access to the database would."""
        self.store.execute(sql, *parameters)

    def story(self) -> str:
        """Return rows that describe the current activity, or the reason why they cannot be read."""
        try:
            rows = [
                row
                for query in (*STORY, *(JOBS if self.workers else ()))
                for row in self.rows(query)
            ]
        except Exception as error:  # noqa: BLE001 - a test has failed: that is what is to be seen
            return repr(error)
        return "\n".join(map(str, rows))

    def log_tail(self, lines: int = 40) -> str:
        return "\n".join(
            line for child in self.children for line in child.log.splitlines()[-lines:]
        )

    def _age(self) -> None:
        """Let a dead server's workers seem silent for long, so that no take-over has to wait.

        Tests that kill a single worker measure how long others wait for it.
        """
        self.execute(
            "UPDATE procrastinate_workers SET last_heartbeat = last_heartbeat - interval '1 hour'"
        )


def _web_command(port: int) -> list[str]:
    if UVICORN:
        return ["uvicorn", *serving.uvicorn_arguments(HOST, port)]
    return ["daphne", *serving.daphne_arguments(HOST, port)]

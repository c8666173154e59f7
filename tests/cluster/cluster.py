"""Web processes and workers on a PostgreSQL and a Redis of their own, all to be hurt."""

import subprocess
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import dict_row

from natproject import serving
from natproject.cluster.servers import PostgreSQL, Redis
from tests.cluster import audit_trigger
from tests.cluster.node import Node
from tests.support.polling import until
from tests.support.processes.environment import HOST, environment
from tests.support.server import free_port, health, seed

DATABASE = "chat"
USERS = [f"user{number}" for number in range(1000)]
WORKFLOWS = """
default: probe
workflows:
  probe: {{max_concurrency: {places}}}
  probe_per_user:
    max_concurrency: 1000
    per_user_idle: {idle}
    options: {{build_seconds: {build}, close_seconds: 0.1}}
"""
# Seconds of idling, seconds of building, and places of a worker.
OFFERED = {"idle": 300.0, "build": 2.0, "places": 1000}
# Until a process manager starts what has ended.
RESTART_AFTER = 1.0
READY = "SELECT name FROM sessions_app_process WHERE kind = 'worker'"


class Template:
    """A PostgreSQL's files with tables, users and their sessions, to be copied."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        with PostgreSQL(directory) as postgresql, Redis(directory / "redis") as redis:
            url = postgresql.create(DATABASE)
            self.cookies = seed(directory, USERS, DATABASE_URL=url, REDIS_URL=redis.url())
            with psycopg.connect(url) as connection:
                connection.execute(audit_trigger.INSTALL.encode())

    def copy(self, directory: Path) -> None:
        """Copy the files; they belong to who runs PostgreSQL."""
        directory.mkdir(parents=True)
        subprocess.run(
            ["cp", "-a", "--reflink=auto", self.directory / "data", directory / "data"], check=True
        )


class Cluster:
    """A cluster of processes: `with Cluster(template, directory) as cluster:`; all answer inside.

    `offered` has other values for those of `OFFERED`. A test takes its people from `users`, so that
    no other has them.
    """

    audited = True

    def __init__(
        self,
        template: Template,
        directory: Path,
        *,
        webs: int = 2,
        workers: int = 2,
        **offered: float,
    ) -> None:
        self.directory = directory
        self.env: dict[str, str] = {}
        self.cookies = template.cookies
        self.users = iter(USERS)
        template.copy(directory / "postgresql")
        self.postgresql = PostgreSQL(directory / "postgresql")
        self.redis = Redis(directory / "redis")
        self.workflows = directory / "workflows.yaml"
        self.workflows.write_text(WORKFLOWS.format(**{**OFFERED, **offered}))
        self.ports = [free_port() for _ in range(webs)]
        self.webs = [self._web(number, port) for number, port in enumerate(self.ports)]
        self.workers = [self._worker(number) for number in range(workers)]
        self._is_closing = threading.Event()
        self._manager = threading.Thread(target=self._keep_up, daemon=True)

    def __enter__(self) -> "Cluster":
        try:
            with ThreadPoolExecutor() as threads:
                list(threads.map(lambda service: service.start(), (self.postgresql, self.redis)))
            self._manager.start()
            self.heal()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    @property
    def nodes(self) -> list[Node]:
        return [*self.webs, *self.workers]

    @property
    def orders(self) -> Path:
        """Return the file of orders to the processes (`tests.chaos`)."""
        return self.directory / "orders.json"

    @property
    def diary(self) -> Path:
        return self.directory / "diary.log"

    @property
    def url(self) -> str:
        """The database's."""
        return self.postgresql.url(DATABASE)

    def origin(self, number: int) -> str:
        return f"http://{HOST}:{self.ports[number % len(self.ports)]}"

    def heal(self) -> None:
        """Have everything run, and wait until it does."""
        self.postgresql.thaw()
        self.redis.thaw()
        self.postgresql.start()
        self.redis.start()
        for node in self.nodes:
            node.thaw()
            node.start()
        self.until_up()

    def until_up(self) -> None:
        self.until("the web processes answer", self._served)
        self.until("the workers work", self._worked)

    def close(self) -> None:
        self._is_closing.set()
        for node in self.nodes:
            node.kill()
        self.redis.kill()
        self.postgresql.kill()

    def rows(self, statement: str, *parameters: object) -> list[dict[str, Any]]:
        with psycopg.connect(self.url, row_factory=dict_row, connect_timeout=5) as connection:
            return connection.execute(statement.encode(), parameters or None).fetchall()

    def execute(self, statement: str, *parameters: object) -> None:
        with psycopg.connect(self.url, connect_timeout=5) as connection:
            connection.execute(statement.encode(), parameters)

    def true_time(self, at: float) -> float:
        """Return the time as it is: the processes have the machine's clock."""
        return at

    def until(self, description: str, condition: Callable[[], object], timeout: float = 60) -> None:
        """Wait for a condition. Blocks."""
        until(condition, timeout, otherwise=lambda: f"{description}\n{self.tails()}")

    def tails(self, lines: int = 25) -> str:
        logs = {node.name: node.log for node in self.nodes}
        for service in (self.postgresql, self.redis):
            logs[service.name] = service.log.read_text(errors="replace")
        return "\n".join(
            "\n".join([f"----- {name}", *log.splitlines()[-lines:]]) for name, log in logs.items()
        )

    def _keep_up(self) -> None:
        """Start again what ends by itself: a process that starts before PostgreSQL is up does."""
        while not self._is_closing.wait(RESTART_AFTER):
            for node in self.nodes:
                node.keep_up()

    def _served(self) -> bool:
        return all(health(port)[0] == 200 for port in self.ports)

    def working(self) -> set[int]:
        """Return the process ids of the workers that have said they work."""
        return {int(row["name"].rpartition(":")[2]) for row in self.rows(READY)}

    def _worked(self) -> bool:
        return self.working() >= {node.pid for node in self.workers}

    def environment(self, name: str) -> Mapping[str, str]:
        return environment(
            self.directory,
            DATABASE_URL=f"{self.url}&application_name={name}",
            REDIS_URL=self.redis.url(),
            WORKFLOWS_FILE=str(self.workflows),
            PROBE_DIARY=str(self.diary),
            **self.env,
        )

    def _web(self, number: int, port: int) -> Node:
        daphne = ["-m", "daphne", *serving.daphne_arguments(HOST, port)]
        return Node(f"web{number}", self.directory, daphne, self.environment)

    def _worker(self, number: int) -> Node:
        worker = ["manage.py", "worker", "--drain", "10"]
        return Node(f"worker{number}", self.directory, worker, self.environment)

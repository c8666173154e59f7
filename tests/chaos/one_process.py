"""A single process on SQLite, with a disk of its own where this machine lets us make one."""

import json
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.chaos.orders import Orders, interfered
from tests.cluster.cluster import OFFERED, USERS, WORKFLOWS
from tests.cluster.node import Node
from tests.support.database.server_store import SqliteStore
from tests.support.polling import until
from tests.support.processes.environment import HOST, environment
from tests.support.server import free_port, health, seed

DISK = "128m"
HOUR = 3600.0
# What SQLite has as text.
READ: dict[str, Callable[[str], object]] = {
    "payload": json.loads,
    "response": json.loads,
    "result": json.loads,
    "finished_at": lambda text: datetime.fromisoformat(text).replace(tzinfo=UTC),
}


class OneProcess:
    """The form of one process: `with OneProcess(directory) as form:`; it answers inside.

    Its notes and its log lie beside its disk, and can be written when that is full.
    """

    audited = False

    def __init__(self, directory: Path, *, idle: float = 3.0, build: float = 0.3) -> None:
        self.directory = directory
        self.data_dir = directory / "disk"
        self.orders = directory / "orders.json"
        self.workflows = directory / "workflows.yaml"
        self.port = free_port()
        self.node = Node("server", directory, ["manage.py", "serve"], self.environment)
        self.nodes = [self.node]
        self.cookies: dict[str, str] = {}
        self.users = iter(USERS)
        self.env: dict[str, str] = {}
        self._began = time.time()
        # Its disk is its own, and may be filled.
        self.has_disk = False
        self._store = SqliteStore(self.data_dir)
        self.data_dir.mkdir(parents=True)
        offered = OFFERED | {"idle": idle, "build": build}
        self.workflows.write_text(WORKFLOWS.format(**offered))

    def __enter__(self) -> "OneProcess":
        self.has_disk = mounted(self.data_dir)
        try:
            self.cookies = seed(self.data_dir, USERS)
            self.heal()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    @property
    def diary(self) -> Path:
        return self.directory / "diary.log"

    def environment(self, _name: str) -> Mapping[str, str]:
        return environment(
            self.data_dir,
            **interfered(self.orders),
            WORKFLOWS_FILE=str(self.workflows),
            PROBE_DIARY=str(self.diary),
            PROBE_LOG=str(self.directory / "probe.log"),
            PORT=str(self.port),
            **self.env,
        )

    def origin(self, _number: int) -> str:
        return f"http://{HOST}:{self.port}"

    def true_time(self, at: float) -> float:
        """Return what the machine's clock showed when the process noted a time.

        Its own clock is wrong by whole hours, and no run takes one.
        """
        return self._began + (at - self._began) % HOUR

    def has_noted_wrong_time(self) -> bool:
        """Return whether the last time that the process noted is wrong by hours."""
        lines = self.diary.read_text().splitlines() if self.diary.exists() else []
        return bool(lines) and abs(time.time() - float(lines[-1].split()[-1])) > HOUR / 2

    def rows(self, statement: str, *parameters: object) -> list[dict[str, Any]]:
        rows = self._store.rows(statement.replace("%s", "?"), *parameters)
        return [
            {
                name: READ[name](value) if name in READ and value is not None else value
                for name, value in row.items()
            }
            for row in rows
        ]

    def execute(self, statement: str, *parameters: object) -> None:
        values = [
            str(one.replace(tzinfo=None)) if isinstance(one, datetime) else one
            for one in parameters
        ]
        self._store.execute(statement.replace("%s", "?"), *values)

    @contextmanager
    def full(self) -> Iterator[None]:
        ballast = self.data_dir / "ballast"
        try:
            with ballast.open("wb", buffering=0) as file:
                try:
                    while True:
                        file.write(bytes(4096))
                except OSError:  # no space left: that is what we want
                    pass
            yield
        finally:
            ballast.unlink()

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Lock its database as another program. Blocks until that gets the lock."""
        other = sqlite3.connect(
            self.data_dir / "db.sqlite3", timeout=60, isolation_level=None, check_same_thread=False
        )
        with closing(other):
            other.execute("BEGIN EXCLUSIVE")
            yield

    @contextmanager
    def slow(self, milliseconds: int) -> Iterator[None]:
        """Make each commit wait so long for the disk, if the process runs."""
        try:
            process = self.node.pid
        except AssertionError:  # another fault has just ended it
            yield
            return
        calls = "fsync,fdatasync"
        inject = ["-e", f"trace={calls}", "-e", f"inject={calls}:delay_enter={milliseconds}ms"]
        strace = ["strace", "-f", "-qq", "-o", "/dev/null", "-p", str(process), *inject]
        with subprocess.Popen(strace, stderr=subprocess.DEVNULL) as tracer:
            try:
                yield
            finally:
                tracer.terminate()
                # It waits for ever for a process that is killed while it lets go of its threads.
                with suppress(subprocess.TimeoutExpired):
                    tracer.wait(5)
                tracer.kill()

    def heal(self) -> None:
        """Have it run at the right time, and wait until it answers."""
        Orders().write(self.orders)
        self.node.thaw()
        self.until_up()

    def until_up(self, timeout: float = 90) -> None:
        """Start it, as often as it takes, and wait until it answers. Blocks."""

        def is_up() -> bool:
            self.node.start()
            return health(self.port)[0] == 200

        until(is_up, timeout, otherwise=self.tails)

    def close(self) -> None:
        """Kill it, and give its disk back; what it stored lies beside."""
        self.node.thaw()
        self.node.kill()
        if self.has_disk:
            kept = self.directory / "kept"
            subprocess.run(["cp", "-a", self.data_dir, kept], check=True)
            subprocess.run(["umount", self.data_dir], check=True)
            self.has_disk = False

    def tails(self, lines: int = 25) -> str:
        return "\n".join(["----- server", *self.node.log.splitlines()[-lines:]])


def mounted(directory: Path) -> bool:
    """Make the directory a small disk in memory; False where we may not."""
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK},mode=0700", "tmpfs", str(directory)]
    try:
        return subprocess.run(mount, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False

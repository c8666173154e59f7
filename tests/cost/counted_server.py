"""A server of real processes that count their work, and the collection of the counts."""

import asyncio
import json
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from multiprocessing.connection import Client, Connection
from pathlib import Path
from typing import Any

from tests.services import directory as short_directory
from tests.support.database.server_store import empty_store
from tests.support.polling import until
from tests.support.processes.child import Child
from tests.support.processes.environment import COVERAGE, environment
from tests.support.running_form import CLUSTER
from tests.support.server import ROOT, Ended, Server, Template
from tests.support.websocket import WsClient

HOOK = Path(__file__).with_name("hook")
# Seconds that a step takes, and between the pieces of a stream: the process is idle meanwhile.
# Nobody else waits for just this long.
PAUSE = 0.123
# What another commit must have: its settings with the probe, and messages to it that are calls.
WORKFLOWS, SEED = (
    "tests/support/processes/workflows.yaml",
    "tests.support.database.migrate_and_seed",
)
NEEDED = (
    *(WORKFLOWS, f"{SEED.replace('.', '/')}.py"),
    *("tests/support/settings.py", "tests/support/calls.py"),
)
# Calls that depend on time: an event loop turns once or several times for the same work, and weak
# references are removed when the collector runs.
BY_TIME = re.compile(
    r"/asyncio/(base_events|events|selector_events)\.py$|/(selectors|weakref|_weakrefset)\.py$"
)
LIBRARY = re.compile(r".*/site-packages/(\w+(?:/\w+(?=/))?)|.*/lib/python[\d.]+/(\w+)")
# Values in a statement, which differ from trip to trip; and columns, which hide what it is about.
VALUES = re.compile(r"'(?:[^']|'')*'|\$?\b\d+(?:\.\d+)?\b")
COLUMNS = re.compile(r"^SELECT (?:[^()]|\([^()]* AS text\))*? FROM ")
LOGGED = re.compile(r"\[(\d+)\] LOG:  (?:statement|execute [^:]*): (.*(?:\n\t.*)*)")
WRITES = re.compile(r"\b(INSERT INTO|(?<!FOR )(?<!KEY )UPDATE|DELETE FROM)\b|\bprocrastinate_\w+\(")
Counts = Counter[tuple[str, str]]


class RealProcess(Child):
    """A process that its real command starts, in a checkout of the project."""

    def __init__(self, root: Path, child: Child) -> None:
        super().__init__(child._log, *child._arguments)
        self._root = root

    def start(self, env: dict[str, str]) -> None:
        with self._log.open("ab") as log:
            command = [sys.executable, *self._arguments]
            env = {name: value for name, value in env.items() if name not in COVERAGE}
            self._process = subprocess.Popen(
                command, cwd=self._root, env=env, stdout=log, stderr=log
            )


class CountedServer:
    """A running server: `look` returns what it has done since it was started."""

    def __init__(self, server: Server, cost_dir: Path, root: Path) -> None:
        self.server = server
        self._root = root
        self._connections = {
            child._log.stem: until(partial(_connect, cost_dir / str(child.pid)))
            for child in server.children
        }
        self._log = _PostgresLog(server) if CLUSTER else None
        self._statements: Counts = Counter()
        for child in server.children:
            child.send(signal.SIGUSR2)

    def look(self, *, in_trip: bool = True) -> Counts:
        """Return all counts so far. Until the next look a trip goes on or not: see `hook`."""
        counts: Counts = Counter()
        for name, connection in self._connections.items():
            connection.send(in_trip)
            threads, statements = connection.recv()
            for thread, counts_of_thread in threads:
                who = f"{name} {re.sub(r'[-_ ]?[0-9].*', '', thread)}"
                for (kind, function, file), count in counts_of_thread.items():
                    is_by_time = kind == "calls" and BY_TIME.search(file)
                    if not is_by_time and not file.startswith(str(HOOK)):
                        folders = " < ".join(map(self._folder, file.split(" < ")))
                        counts[kind, f"{who} {folders} {function}".strip()] += count
            self._statements += _count_statements(statements)
        if self._log is not None:
            self._statements += _count_statements(self._log.new_statements())
        return counts + self._statements

    def is_busy(self) -> bool:
        """Return whether a thread of the server has something to do, or its database has."""
        return any(_runs(child.pid) for child in self.server.children) or (
            self._log is not None and self._log.is_busy()
        )

    def _folder(self, file: str) -> str:
        """Return a folder of the project, a package and its folder, or a module of Python."""
        if match := LIBRARY.match(file):
            return match[1] or f"python/{match[2]}"
        path = Path(file)
        return str(path.parent.relative_to(self._root)) if self._root in path.parents else "python"


class _PostgresLog:
    """The statements in the log of PostgreSQL, which only connections of the server write."""

    def __init__(self, server: Server) -> None:
        self._server = server
        (row,) = server.rows("SELECT current_setting('data_directory') AS directory")
        self._path = Path(row["directory"]).parent / "postgresql.log"
        self._position = self._path.stat().st_size
        self._transactions: set[str] = set()  # process ids of connections in a transaction

    def new_statements(self) -> Iterator[tuple[str, bool]]:
        """Yield each statement since the last time, and whether it was in a transaction."""
        with self._path.open("rb") as log:
            log.seek(self._position)
            text = log.read().decode()
        self._position += len(text.encode())
        for pid, statement in LOGGED.findall(text):
            yield statement, pid in self._transactions
            if statement.startswith("BEGIN"):
                self._transactions.add(pid)
            elif statement.startswith(("COMMIT", "ROLLBACK")) and " TO " not in statement:
                self._transactions.discard(pid)

    def is_busy(self) -> bool:
        query = """
            SELECT 1 FROM pg_stat_activity WHERE datname = current_database()
            AND state <> 'idle' AND pid <> pg_backend_pid()
        """
        return bool(self._server.rows(query))


class CountedClient(WsClient):
    """A client that counts the bytes of the frames that it receives, by their types."""

    def __init__(self, server: Server) -> None:
        super().__init__(server, "cost", workflow="probe")
        self.bytes: Counts = Counter()

    async def _received(self, text: str | bytes) -> None:
        await super()._received(text)
        self.bytes["bytes", self.frames[-1]["type"]] += len(text)


async def until_quiet(counted: CountedServer, client: CountedClient) -> Counts:
    """Wait until the server has nothing more to do in a trip; return all counts so far."""
    before: Counts | None = None
    while (now := counted.look() + client.bytes) != before or counted.is_busy():
        before = now
        await asyncio.sleep(0.02)
    return now


def make_template(directory: Path, root: Path) -> Template:
    """Return a store that another checkout has migrated, with a user.

    Raises:
        SystemExit: the checkout has its files elsewhere.
    """
    for name in NEEDED:
        if not (root / name).exists():
            raise SystemExit(f"That commit has no {name}, so it cannot be counted from here.")
    store = empty_store(directory)
    command = [sys.executable, "-m", SEED]
    env = environment(directory, **store.environment)
    cookies = subprocess.check_output(command, cwd=root, env=env, input='["ann"]', text=True)
    return Template(store, json.loads(cookies))


@contextmanager
def start_counted(
    template: Template, directory: Path, root: Path = ROOT
) -> Iterator[CountedServer]:
    """Start the server of the current form, with the files of a checkout."""
    with short_directory() as cost_dir:
        server = Server.from_template(template, directory / "counted")
        server.env |= {
            "COST_DIR": str(cost_dir),
            "COST_PAUSE": str(PAUSE),
            "PYTHONPATH": str(HOOK),
            "PYTHONHASHSEED": "0",
            "MAX_BLOCKING": "0",  # no watchdog, which looks ten times a second
            "WORKFLOWS_FILE": str(root / WORKFLOWS),
        }
        if CLUSTER:
            url = server.store.environment["DATABASE_URL"]
            server.env["DATABASE_URL"] = f"{url}&options=-c%20log_statement%3Dall"
        server.web = RealProcess(root, server.web)
        server.workers = [RealProcess(root, worker) for worker in server.workers]
        try:
            try:
                server.start()
            except Ended:
                # The interpreter of Python 3.11.2 crashes at times beside profile functions.
                if server.web.process.poll() != -signal.SIGSEGV:
                    raise
                server.restart()
            server.until_workers()
            yield CountedServer(server, cost_dir, root)
        finally:
            server.drop()


def _connect(path: Path) -> "Connection[Any, Any] | None":
    """Connect to a server's socket; None before the server listens there."""
    try:
        return Client(str(path))
    except (FileNotFoundError, ConnectionRefusedError):
        return None


def _runs(pid: int) -> bool:
    """Return whether a thread of the process runs, could run, or waits for the disk."""
    for path in Path(f"/proc/{pid}/task").glob("*/stat"):
        try:
            state = path.read_text().rpartition(")")[2].split()[0]
        except OSError:  # the thread has ended
            continue
        if state in "RD":
            return True
    return False


def _count_statements(statements: Any) -> Counts:
    counts: Counts = Counter()
    for statement, in_transaction in statements:
        text = COLUMNS.sub("SELECT … FROM ", " ".join(VALUES.sub("?", statement).split()))
        counts["statements", text] += 1
        if text == "COMMIT" or (not in_transaction and WRITES.search(text)):
            counts["commits", text] += 1
    return counts

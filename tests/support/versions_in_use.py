"""The running form and the versions of a test run, for its last line."""

import os
import platform
from collections.abc import Iterator
from importlib.metadata import version

import psycopg
from redis import Redis

from tests.support.running_form import CLUSTER, UVICORN


def description() -> str:
    """Return the form and the versions in use: "local form: Python 3.13.0, Django 6.1.3, …"."""
    return f"{'cluster' if CLUSTER else 'local'} form: {', '.join(_versions())}"


def _versions() -> Iterator[str]:
    yield f"Python {platform.python_version()}"
    yield f"Django {version('django')}"
    web_server = "uvicorn" if UVICORN else "Daphne"
    yield f"{web_server} {version(web_server)}"
    if CLUSTER:
        with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
            # Such as "15.18 (Debian 15.18-0+deb12u1)".
            server_version = connection.info.parameter_status("server_version") or ""
            yield f"PostgreSQL {server_version.partition(' ')[0]}"
        with Redis.from_url(os.environ["REDIS_URL"]) as redis:
            yield f"Redis {redis.info('server')['redis_version']}"

"""The checks for many processes: PostgreSQL is required; without Redis everything is slower."""

import time

import psycopg
from django.conf import settings
from django.core.checks import CheckMessage, Error, Info, Warning
from django.db import connection
from redis import Redis, RedisError

from sessions_app.hosting.dispatch.stand_ins import tasks_of_project
from sessions_app.json_types import JsonObject
from sessions_app.lifecycle.findings import Check, Findings
from sessions_app.lifecycle.remedies import connection_remedy
from sessions_app.settings import RuntimeSettings

ENCODING = (
    "What people write needs UTF8: make another database (createdb --encoding=UTF8 "
    "--template=template0 NAME), and name that in DATABASE_URL."
)
TIMEOUT = 2.0  # seconds for connecting to Redis, and for each reply
TODO = (
    "Check REDIS_URL and CHANNEL_LAYERS, and that Redis is up. Until then live news and wake-ups "
    "take seconds."
)


def unusable() -> CheckMessage | None:
    """Return a finding if PostgreSQL cannot be used, with the reason and the remedy.

    The check connects without the connection pool, which would report a timeout for every reason.
    """
    parameters = connection.get_connection_params()
    parameters.pop("pool", None)
    try:
        with psycopg.connect(**parameters) as direct:
            version = direct.info.server_version // 10000
            encoding = direct.info.parameter_status("server_encoding")
    except psycopg.OperationalError as error:
        return _connection_finding(str(error))
    minimum_version = connection.features.minimum_database_version
    if minimum_version and version < minimum_version[0]:
        return Error(
            f"The server of DATABASE_URL is PostgreSQL {version}",
            f"Use version {minimum_version[0]} or newer.",
        )
    if encoding != "UTF8":
        name = connection.settings_dict["NAME"]
        return Error(f"The encoding of the database {name} is {encoding}", ENCODING)
    return None


def _connection_finding(message: str) -> CheckMessage:
    """Turn libpq's error, which holds no password, into a finding with a remedy."""
    # libpq reports each attempt to connect on a separate line; an indented line continues the last.
    attempts = message.partition("All failures were:\n")[2] or message
    reasons = [line for line in attempts.splitlines() if line and not line[0].isspace()]
    reason = "; ".join(reasons).removeprefix("connection failed: ").rstrip(".")
    return Error(f"PostgreSQL cannot be used: {reason}", connection_remedy(message))


def _redis() -> Findings:
    limits = {"socket_timeout": TIMEOUT, "socket_connect_timeout": TIMEOUT}
    try:
        with Redis.from_url(RuntimeSettings.load().REDIS_URL, **limits) as redis:
            start = time.perf_counter()
            redis.ping()
            milliseconds = (time.perf_counter() - start) * 1000
            info: JsonObject = redis.info()
    except RedisError as error:
        yield Error(f"it does not answer: {error}", TODO)
        return
    yield Info(f"Redis {info['redis_version']} answers in {milliseconds:.1f} ms")
    used_memory, max_memory = info.get("used_memory", 0), info.get("maxmemory", 0)
    if max_memory and used_memory > max_memory * 0.9:
        yield Warning(
            f"{used_memory / max_memory:.0%} of its memory is used",
            "Give it more: it keeps nothing of ours, but needs buffers.",
        )


def _worker_queues() -> Findings:
    """Find a project whose own workers acquire this package's jobs: they name no queue."""
    tasks = tasks_of_project()
    defaults = getattr(settings, "PROCRASTINATE_WORKER_DEFAULTS", None) or {}
    if tasks and not defaults.get("queues"):
        yield Warning(
            f"the project has Procrastinate tasks of its own ({', '.join(tasks[:3])}), and a "
            "worker without queues also acquires the jobs of this package; it puts them back, but "
            "each waits a second or more",
            "Name the queues of your own workers: PROCRASTINATE_WORKER_DEFAULTS = "
            "{'queues': ['default']}, or 'procrastinate worker -q default'.",
        )


WORKER_QUEUES = Check(108, "worker queues", _worker_queues)
START_CHECKS = (Check(120, "redis", _redis),)

"""Checks of the form of many processes: its PostgreSQL, and Redis, without which all is slower."""

import asyncio
import re
import time
from contextlib import suppress
from pathlib import Path

import psycopg
from django.core.checks import CheckMessage, Error, Info, Warning
from django.db import InternalError, OperationalError, connection, transaction
from redis import Redis, RedisError

from sessions_app.dispatch import processes
from sessions_app.dispatch.connector import CONNECTIONS as QUEUE_POOL_SIZE
from sessions_app.doctor.findings import Check, Findings, in_bytes, room
from sessions_app.json_types import JsonObject
from sessions_app.models import Process
from sessions_app.notify.foreign_layer import ForeignLayer
from sessions_app.notify.groups import CLUSTER, new_layer
from sessions_app.settings import RuntimeSettings
from sessions_app.storage import sql
from sessions_app.storage.databases import POOL_SIZE

# What PostgreSQL says, and what to do then. It speaks English before it knows who asks.
REMEDIES = {
    "password": "Fix the user and the password in DATABASE_URL.",
    "no pg_hba.conf entry": "Allow this machine and this user in PostgreSQL's pg_hba.conf.",
    "role .* does not exist": "Create the user, or fix its name in DATABASE_URL.",
    "database .* does not exist": "Create it (createdb {NAME}), or fix the name in DATABASE_URL.",
    "too many clients|remaining connection slots": (
        "Raise its max_connections, or run fewer processes; see docs/deployment.md."
    ),
    "starting up|shutting down": "Try again once it is up.",
}
ENCODING = (
    "What people write needs UTF8: make another database (createdb --encoding=UTF8 "
    "--template=template0 NAME), and name that in DATABASE_URL."
)
UNREACHABLE = "Start it, or fix the host and the port in DATABASE_URL."
DURABLE = ("fsync", "full_page_writes", "synchronous_commit")
CONNECTIONS = """
    SELECT current_setting('max_connections')::int
        - current_setting('superuser_reserved_connections')::int,
        (SELECT COUNT(*) FROM pg_stat_activity WHERE backend_type = 'client backend')
"""
# Without the right to read all settings there is no row.
DIRECTORY = """
    SELECT setting FROM pg_settings WHERE name = 'data_directory'
    AND (inet_server_addr() IS NULL OR inet_server_addr() <<= '127.0.0.0/8'
        OR inet_server_addr() = '::1')
"""
CHECKSUMS = """
    SELECT current_setting('data_checksums'), COALESCE(checksum_failures, 0)
    FROM pg_stat_database WHERE datname = current_database()
"""
AMCHECK = "SELECT has_function_privilege(to_regprocedure('bt_index_check(regclass)'), 'EXECUTE')"
INDEXES = """
    SELECT COUNT(bt_index_check(index.indexrelid)) FROM pg_index index
    JOIN pg_class class ON class.oid = index.indexrelid JOIN pg_am am ON am.oid = class.relam
    WHERE am.amname = 'btree' AND class.relpersistence = 'p' AND index.indisvalid
    AND class.relnamespace = current_schema()::regnamespace
"""
# Reads the tables themselves, whose pages have checksums, and not what an index says of them.
BY_PAGE = "SET LOCAL enable_indexscan = off; SET LOCAL enable_indexonlyscan = off"
INTEGRITY = 20.0  # seconds
RESTORE = "Look into PostgreSQL's log, and restore a backup on another disk."
FULL = 0.9
# Seconds by which clocks may differ: deadlines and what admin shows differ as much.
NEAR = 1.0
FAR = 5.0
TIMEOUT = 2.0  # seconds
GROUP = "doctor"
TODO = (
    "Check REDIS_URL and CHANNEL_LAYERS, and that Redis is up. Until then live news and wake-ups "
    "take seconds."
)


def unusable() -> CheckMessage | None:
    """Return why PostgreSQL cannot be used.

    It connects without the pool, which would say of any reason that it took too long.
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
    settings = connection.settings_dict
    remedy = next(
        (do for pattern, do in REMEDIES.items() if re.search(pattern, message)), UNREACHABLE
    )
    # Each attempt has a line, of which some go on in an indented one.
    attempts = message.partition("All failures were:\n")[2] or message
    reasons = [line for line in attempts.splitlines() if line and not line[0].isspace()]
    reason = "; ".join(reasons).removeprefix("connection failed: ").rstrip(".")
    return Error(f"PostgreSQL cannot be used: {reason}", remedy.format(**settings))


def _durability() -> Findings:
    values = {name: sql.fetch(f"SHOW {name}", ())[0][0] for name in DURABLE}
    off = [f"{name}=off" for name, value in values.items() if value == "off"]
    if off:
        yield Error(f"{', '.join(off)}: a commit may be lost", "Set them to on in PostgreSQL.")
    else:
        yield Info(f"fsync on, synchronous_commit {values['synchronous_commit']}")


def _integrity() -> Findings:
    """Read each page of each table, and each index if amcheck is installed. It blocks nobody."""
    [(amcheck,)] = sql.fetch(AMCHECK, ())
    try:
        with transaction.atomic():
            sql.execute(f"SET LOCAL statement_timeout = '{INTEGRITY:.0f}s'; {BY_PAGE}", ())
            sql.fetch(_tables(), ())
            if amcheck:
                sql.fetch(INDEXES, ())
    except InternalError as error:
        yield Error(f"a page is damaged: {error}", RESTORE)
        return
    except OperationalError as error:
        yield Warning(f"it could not be read whole: {error}", "Run on its machine: pg_amcheck")
        return
    [(checksums, failures)] = sql.fetch(CHECKSUMS, ())
    coverage = "tables and indexes" if amcheck else "tables, and no indexes (no extension amcheck)"
    if failures:
        todo = f"{RESTORE} Once it is fixed: SELECT pg_stat_reset()"
        yield Error(f"{failures} pages were found that had another checksum", todo)
    elif checksums == "on":
        yield Info(f"checksums are on; read were {coverage}")
    else:
        yield Warning(f"checksums are off; read were {coverage}", "Turn them on with pg_checksums.")


def _tables() -> str:
    names = map(connection.ops.quote_name, connection.introspection.table_names())
    counts = (f"SELECT COUNT(*) FROM {name}" for name in names)  # noqa: S608 - quoted
    return " UNION ALL ".join(counts)


def _disk() -> Findings:
    """Check the free disk space where it can be seen: PostgreSQL itself does not say it."""
    [(size,)] = sql.fetch("SELECT pg_database_size(current_database())", ())
    for (directory,) in sql.fetch(DIRECTORY, ()):
        with suppress(OSError):
            yield room(Path(directory), size)
            return
    fact = f"the database has {in_bytes(size)}"
    yield Warning(
        f"{fact}; the free space of its disk is not visible from here",
        "Have it watched where PostgreSQL runs.",
    )


def _connections() -> Findings:
    [(limit, used)] = sql.fetch(CONNECTIONS, ())
    alive = processes.alive()
    worker_count = sum(row.kind == Process.Kind.WORKER for row in alive)
    demand = len(alive) * POOL_SIZE + worker_count * QUEUE_POOL_SIZE
    fact = f"{used} of {limit} in use; the processes that are up may take {demand}"
    if used > limit * FULL:
        yield Error(fact, "Raise max_connections, or run fewer processes.")
    elif demand > limit:
        yield Warning(fact, "Raise max_connections; see docs/deployment.md, Sizing.")
    else:
        yield Info(fact)


def _clock() -> Findings:
    before = time.time()
    [(database_time,)] = sql.fetch("SELECT EXTRACT(EPOCH FROM clock_timestamp())", ())
    apart = float(database_time) - (before + time.time()) / 2
    fact = f"{abs(apart):.3f} s {'behind' if apart > 0 else 'ahead of'} the database's"
    if abs(apart) > FAR:
        yield Error(fact, "Have NTP set the clocks of all machines.")
    elif abs(apart) > NEAR:
        yield Warning(fact, "Have NTP set the clocks of all machines.")
    else:
        yield Info(fact)


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


def _layer() -> Findings:
    """Send a message between two layers, as between two processes, and warn of what the backend
    lacks.
    """
    layer = new_layer()
    if isinstance(layer, ForeignLayer):
        yield Warning(
            f"{layer.backend} silently drops messages beyond its capacity, and delivers none "
            "while its server is away: readers then find news after some seconds",
            f"Use {CLUSTER} in CHANNEL_LAYERS, or leave it: it is slower, and nothing is lost.",
        )
    try:
        seconds = asyncio.run(_round_trip())
    except TimeoutError:
        yield Error(f"a message was not delivered in {TIMEOUT:.0f} s", TODO)
    else:
        yield Info(f"a message from process to process took {seconds * 1000:.1f} ms")


async def _round_trip() -> float:
    sender, receiver = new_layer(), new_layer()
    try:
        async with asyncio.timeout(TIMEOUT):
            channel = await receiver.new_channel()
            await receiver.group_add(GROUP, channel)
            for _ in range(2):  # the first one waits for connections
                start = time.perf_counter()
                await sender.group_send(GROUP, {"type": "doctor"})
                await receiver.receive(channel)
            return time.perf_counter() - start
    finally:
        await asyncio.gather(sender.close(), receiver.close())


START = (Check(120, "redis", _redis),)
CHECKS = (
    Check(113, "durability", _durability, needs="database"),
    Check(114, "integrity", _integrity, needs="database"),
    Check(115, "disk", _disk, needs="database"),
    Check(116, "connections", _connections, needs="migrations"),
    Check(117, "clock", _clock, needs="database"),
    *START,
    Check(121, "layer", _layer, needs="redis"),
)

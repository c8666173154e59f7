"""The checks of a deployment with many processes: its PostgreSQL, and its channel layer."""

import asyncio
import time
from contextlib import suppress
from pathlib import Path

from django.core.checks import Error, Info, Warning

from sessions_app.contrib.operations.doctor.disk import check_free_space, in_bytes
from sessions_app.hosting.dispatch.queue import QUEUE_POOL_SIZE
from sessions_app.lifecycle import processes
from sessions_app.lifecycle.cluster_requirements import START_CHECKS, TIMEOUT, TODO
from sessions_app.lifecycle.findings import Check, Findings
from sessions_app.models import Process
from sessions_app.notify.groups import CLUSTER, new_layer
from sessions_app.notify.layers.foreign import ForeignLayer
from sessions_app.storage import sql
from sessions_app.storage.databases import POOL_SIZE

DURABLE = ("fsync", "full_page_writes", "synchronous_commit")
CONNECTIONS = """
    SELECT current_setting('max_connections')::int
        - current_setting('superuser_reserved_connections')::int,
        (SELECT COUNT(*) FROM pg_stat_activity WHERE backend_type = 'client backend')
"""
# Yields no row if the server is another machine, or the database user may not read all settings.
DIRECTORY = """
    SELECT setting FROM pg_settings WHERE name = 'data_directory'
    AND (inet_server_addr() IS NULL OR inet_server_addr() <<= '127.0.0.0/8'
        OR inet_server_addr() = '::1')
"""
FULL = 0.9
# Clock differences in seconds that give a warning, and an error: deadlines shift by as much.
NEAR = 1.0
FAR = 5.0
GROUP = "doctor"


def _durability() -> Findings:
    values = {name: sql.fetch(f"SHOW {name}", ())[0][0] for name in DURABLE}
    off = [f"{name}=off" for name, value in values.items() if value == "off"]
    if off:
        yield Error(f"{', '.join(off)}: a commit may be lost", "Set them to on in PostgreSQL.")
    else:
        yield Info(f"fsync on, synchronous_commit {values['synchronous_commit']}")


def _disk() -> Findings:
    """Check the free disk space, if the disk is visible from this machine; SQL does not show it."""
    [(size,)] = sql.fetch("SELECT pg_database_size(current_database())", ())
    for (directory,) in sql.fetch(DIRECTORY, ()):
        with suppress(OSError):
            yield check_free_space(Path(directory), size)
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
        yield Warning(fact, "Raise max_connections; see docs/deployment.md, Size a deployment.")
    else:
        yield Info(fact)


def _clock() -> Findings:
    before = time.time()
    [(database_time,)] = sql.fetch("SELECT EXTRACT(EPOCH FROM clock_timestamp())", ())
    offset = float(database_time) - (before + time.time()) / 2
    fact = f"{abs(offset):.3f} s {'behind' if offset > 0 else 'ahead of'} the database's"
    if abs(offset) > FAR:
        yield Error(fact, "Have NTP set the clocks of all machines.")
    elif abs(offset) > NEAR:
        yield Warning(fact, "Have NTP set the clocks of all machines.")
    else:
        yield Info(fact)


def _layer() -> Findings:
    """Send a message from one channel layer to another, and warn if the backend may lose some."""
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
            for _ in range(2):  # time only the second message: the first opens connections
                start = time.perf_counter()
                await sender.group_send(GROUP, {"type": "doctor"})
                await receiver.receive(channel)
            return time.perf_counter() - start
    finally:
        await asyncio.gather(sender.close(), receiver.close())


CHECKS = (
    Check(113, "durability", _durability, needs="database"),
    Check(115, "disk", _disk, needs="database"),
    Check(116, "connections", _connections, needs="migrations"),
    Check(117, "clock", _clock, needs="database"),
    *START_CHECKS,
    Check(121, "layer", _layer, needs="redis"),
)

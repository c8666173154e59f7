"""Run the benchmarks against real servers of both forms and print tables of ratios."""

import asyncio
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from bench import neighbours, trips
from bench.trips import is_end, milliseconds, socket
from sessions_app.operations.local_services.servers import PostgreSQL, Redis
from tests.support.server import Server, Template

EVENTS = 10_000
OPENINGS = 20


async def opening(server: Server) -> dict[str, float]:
    """The page of a conversation with many events, against one with few."""
    for name, events in (("short", 5), ("long", EVENTS)):
        async with socket(server, name) as client:
            sent = 0
            while sent < events:
                count = min(100, events - sent)
                await client.message(f"step {count}")
                await client.until(is_end, timeout=60)
                sent += 3 * count
    pages = {}
    for name in ("short", "long", "short", "long"):
        get = asyncio.to_thread
        pages[name] = await milliseconds(OPENINGS, lambda: get(server.get, f"/c/{name}/", "ann"))  # noqa: B023 - awaited here
    return {
        "page of few events, ms": pages["short"],
        f"page of {EVENTS:,} events, ms": pages["long"],
        "ratio": pages["long"] / pages["short"],
    }


def local() -> None:
    """The form of one process."""
    with tempfile.TemporaryDirectory() as directory:
        seeded = Path(directory, "template")
        seeded.mkdir()
        template = Template.make(seeded, ["ann", "ben"])
        for benchmark in (trips, neighbours):
            benchmark.report(template, Path(directory, benchmark.__name__))
        server = Server.from_template(template, Path(directory, "server"))
        server.start()
        try:
            trips.show(opening, asyncio.run(opening(server)))
        finally:
            server.drop()


def cluster() -> None:
    """The form of many processes, on a PostgreSQL and a Redis of its own.

    In a process of its own: the tests' servers learn their form from the environment.
    """
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as directory,
        PostgreSQL(Path(directory, "postgresql")) as postgresql,
        Redis(Path(directory, "redis")) as redis,
    ):
        here = {"DATABASE_URL": postgresql.url(), "REDIS_URL": redis.url()}
        command = [sys.executable, "-m", "bench.cluster"]
        subprocess.run(command, env={**os.environ, **here}, check=True)


if __name__ == "__main__":
    local()
    cluster()

"""A hundred people of a group have their inbox open, and one of them answers: until the last of the
others hears of it, where another prompt still waits for all of them.
"""

import asyncio
import statistics
import time
from contextlib import AsyncExitStack
from pathlib import Path

import psutil

from bench.beside.clients import Figures, running, socket
from tests.inbox.people import make_group
from tests.support.server import Server, Template
from tests.support.websocket import WsClient

PEOPLE = 100
ROUNDS = 10
PENDING = """
    SELECT id FROM sessions_app_interaction WHERE status = 'pending'
    ORDER BY created_at DESC LIMIT 1
"""


async def _hears(client: WsClient, count: int) -> float:
    """Return the time when the client is told."""
    await client.until(lambda frame: frame.get("waiting") == count, timeout=60)
    return time.perf_counter()


def _busy(server: Server) -> float:
    """Seconds of processor time that its processes have taken."""
    times = [psutil.Process(child.pid).cpu_times() for child in server.children]
    return sum(cpu_times.user + cpu_times.system for cpu_times in times)


async def _rounds(server: Server) -> tuple[list[float], list[float]]:
    """Return for each round the milliseconds until the last is told, and those of processor
    time.
    """
    names = server.create_users(PEOPLE)
    make_group(server, people=names)
    durations, busy = [], []
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        sockets = [await enter(WsClient(server, user=name, waiting="inbox")) for name in names]
        askers = [await enter(socket(server, name)) for name in ("stays", "goes")]
        await askers[0].message('ask_others(to="managers")')
        await asyncio.gather(*(_hears(client, 1) for client in sockets))
        for answerer in sockets[:ROUNDS]:
            await askers[1].message('ask_others(to="managers")')
            await asyncio.gather(*(_hears(client, 2) for client in sockets))
            [prompt] = server.rows(PENDING)
            began, before = time.perf_counter(), _busy(server)
            await answerer.answer("yes", interaction_id=str(prompt["id"]))
            arrival_times = await asyncio.gather(*(_hears(client, 1) for client in sockets))
            durations.append(1000 * (max(arrival_times) - began))
            busy.append(1000 * (_busy(server) - before))
    return durations, busy


def measure(template: Template, directory: Path) -> Figures:
    """Median and maximum of the rounds."""
    with running(template, directory) as server:
        durations, busy = asyncio.run(_rounds(server))
    return {
        "100 inboxes, an answer to the last that is told, ms": statistics.median(durations),
        "100 inboxes, an answer to the last that is told, at most, ms": max(durations),
        "100 inboxes, processor time of web process and worker for that, ms": statistics.median(
            busy
        ),
    }

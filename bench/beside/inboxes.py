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


async def _hears(client: WsClient, waiting: int) -> float:
    """Return the time when the client is told."""
    await client.until(lambda frame: frame.get("waiting") == waiting, timeout=60)
    return time.perf_counter()


def _busy(server: Server) -> float:
    """Seconds of processor time that its processes have taken."""
    times = [psutil.Process(child.pid).cpu_times() for child in server.children]
    return sum(one.user + one.system for one in times)


async def _rounds(server: Server) -> tuple[list[float], list[float]]:
    """Return for each round the milliseconds until the last is told, and those of processor
    time.
    """
    names = server.create_users(PEOPLE)
    make_group(server, people=names)
    spent, busy = [], []
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        sockets = [await enter(WsClient(server, user=name, waiting="inbox")) for name in names]
        askers = [await enter(socket(server, name)) for name in ("stays", "goes")]
        await askers[0].message("assign managers")
        await asyncio.gather(*(_hears(each, 1) for each in sockets))
        for answering in sockets[:ROUNDS]:
            await askers[1].message("assign managers")
            await asyncio.gather(*(_hears(each, 2) for each in sockets))
            [asked] = server.rows(PENDING)
            began, before = time.perf_counter(), _busy(server)
            await answering.answer("yes", interaction_id=str(asked["id"]))
            heard = await asyncio.gather(*(_hears(each, 1) for each in sockets))
            spent.append(1000 * (max(heard) - began))
            busy.append(1000 * (_busy(server) - before))
    return spent, busy


def measure(template: Template, directory: Path) -> Figures:
    """Median and maximum of the rounds."""
    with running(template, directory) as server:
        spent, busy = asyncio.run(_rounds(server))
    return {
        "100 inboxes, an answer to the last that is told, ms": statistics.median(spent),
        "100 inboxes, an answer to the last that is told, at most, ms": max(spent),
        "100 inboxes, processor time of web process and worker for that, ms": statistics.median(
            busy
        ),
    }

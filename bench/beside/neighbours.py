"""Ben's `echo` alone, and beside ann's 100 sockets that do not read, 100 slow runs and a flood.

Ann's clients are a process of their own, or ben's would wait for them.
"""

import asyncio
import multiprocessing
import statistics
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from multiprocessing.synchronize import Event
from pathlib import Path

from bench.beside.clients import Figures, is_end, kibibytes, running, socket
from tests.support.received_frames import Frame
from tests.support.server import Server, Template
from tests.support.websocket import upgrade

ECHOES = 60
SOCKETS = 100
RUNS = 100
FLOODS = 4
# Messages of a flood that are sent before the reply to the last is waited for.
AT_ONCE = 50
WARM_UP = 3.0
LARGE = 7_000_000
WORKFLOWS = """
default: probe
workflows:
  probe:
    max_concurrency: 8
    max_concurrency_per_user: 6
"""
# Those of the product, which servers of tests have none of; and room for the sockets.
LIMITS = {"RATE_MESSAGES_USER": "300/minute", "RUNS_PER_USER": "1000", "SOCKETS_PER_USER": "200"}


async def echoes(server: Server) -> list[float]:
    """Milliseconds of each of ben's echoes."""
    durations = []
    async with socket(server, "mine", "ben") as client:
        for number in range(ECHOES):
            began = time.perf_counter()
            await client.message(f'echo("{number}")')
            await client.until(is_end, timeout=60)
            durations.append(1000 * (time.perf_counter() - began))
    return sorted(durations)


async def prepare(server: Server) -> None:
    """Fill a conversation with much output."""
    async with socket(server, "large") as client:
        await client.message(f"say_at_once(characters={LARGE})")
        await client.until(is_end, timeout=60)


async def start_slow_runs(server: Server) -> None:
    """Begin them; they take longer than this benchmark."""
    async with socket(server, "slow") as client:
        for number in range(RUNS):
            message_id = await client.message(
                "stream(tokens=600, delay=0.1)", conversation_id=f"slow{number}"
            )
            await client.reply_to(message_id)


async def flood(server: Server, name: str) -> None:
    """Messages, as fast as they are taken, for ever."""
    while True:
        async with socket(server, name) as client:
            while client.close_code is None:
                for _ in range(AT_ONCE):
                    message_id = await client.message('echo("x")')
                await client.until(partial(is_reply, message_id), timeout=60)


def is_reply(message_id: str, frame: Frame) -> bool:
    """Return whether it is the reply to that message."""
    return frame.get("for") == message_id


async def attack(server: Server, runs_started: Event) -> None:
    """Do what ann does."""
    with ExitStack() as stack:
        for _ in range(SOCKETS):
            path = "/websocket?extended=true&conversation_id=large&last_sequence=0"
            stack.enter_context(upgrade(server, path, on_the_way=64 * 1024))
        await start_slow_runs(server)
        runs_started.set()
        await asyncio.gather(*(flood(server, f"flood{number}") for number in range(FLOODS)))


@contextmanager
def under_attack(server: Server) -> Iterator[None]:
    """Ann does it meanwhile."""
    fork = multiprocessing.get_context("fork")
    runs_started = fork.Event()
    process = fork.Process(target=lambda: asyncio.run(attack(server, runs_started)), daemon=True)
    process.start()
    try:
        assert runs_started.wait(60), "ann's runs have not begun"
        time.sleep(WARM_UP)
        yield
    finally:
        process.kill()
        process.join()


def measure(template: Template, directory: Path) -> Figures:
    """Ben alone and beside ann."""
    directory.mkdir()
    workflows_file = directory / "workflows.yaml"
    workflows_file.write_text(WORKFLOWS)
    env = {"WORKFLOWS_FILE": str(workflows_file), **LIMITS}
    with running(template, directory / "server", **env) as server:
        asyncio.run(prepare(server))
        asyncio.run(echoes(server))
        quiet_echoes, before = asyncio.run(echoes(server)), kibibytes(server.web.pid)
        with under_attack(server):
            attacked_echoes, during = asyncio.run(echoes(server)), kibibytes(server.web.pid)
    return {
        "ben's echo alone, p50 ms": statistics.median(quiet_echoes),
        "ben's echo beside ann, ratio": statistics.median(attacked_echoes)
        / statistics.median(quiet_echoes),
        "beside ann the web process has more, MiB": (during - before) / 1024,
    }

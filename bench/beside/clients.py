"""The clients of the cases, and timers for their requests."""

import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from tests.support.received_frames import Frame
from tests.support.server import Server, Template
from tests.support.websocket import WsClient

Figures = dict[str, float]
# Seconds, longer than a host without runs stays in memory.
UNTIL_NO_HOST = 6.5


@contextmanager
def running(template: Template, directory: Path, **env: str) -> Iterator[Server]:
    """Start a server of the selected form, with a new store."""
    server = Server.from_template(template, directory)
    server.env |= env
    server.start()
    try:
        server.until_workers()
        yield server
    finally:
        server.drop()


def is_end(frame: Frame) -> bool:
    """Return whether the frame is the last of a run's output."""
    return (frame["type"], frame.get("status")) == ("system_response_message", "complete")


def last_sequence(client: WsClient) -> int:
    """Return the sequence of the last received event."""
    return max((int(frame.get("sequence") or 0) for frame in client.frames), default=0)


def socket(
    server: Server, name: str, user: str = "ann", workflow: str = "probe", **query: Any
) -> WsClient:
    """Return a socket on a conversation with the probe, the workflow for tests."""
    return WsClient(server, name, user=user, workflow=workflow, **query)


async def ask(client: WsClient) -> None:
    """Start a run that waits for an answer."""
    await client.message("ask()")
    await client.until("system_interaction_message", timeout=60)


async def echo(client: WsClient) -> None:
    """Send a message and wait for the end of its run."""
    await client.message('echo("hello")')
    await client.until(is_end, timeout=60)


async def trip(client: WsClient) -> None:
    """Answer, and wait for the next prompt."""
    await client.answer("continue")
    await client.until("system_interaction_message", timeout=60)


async def lengthen(client: WsClient, events: int) -> None:
    """Add events to the conversation until it has so many."""
    while (missing := events - last_sequence(client)) > 0:
        await client.message(f"step(count={min(100, missing)})")
        await client.until(is_end, timeout=60)


async def answer_to_end(client: WsClient) -> float:
    """Return the milliseconds from the answer to the pending prompt to the end of the run."""
    prompt = await client.until("system_interaction_message")
    began = time.perf_counter()
    await client.answer("yes", prompt)
    await client.until(is_end)
    return 1000 * (time.perf_counter() - began)


async def times(count: int, work: Callable[[], Awaitable[object]]) -> list[float]:
    """Return the milliseconds of each of several repetitions of the work."""
    durations = []
    for _ in range(count):
        began = time.perf_counter()
        await work()
        durations.append(1000 * (time.perf_counter() - began))
    return durations


def kibibytes(*pids: int) -> float:
    """Return the resident memory of the processes in KiB."""
    return sum(float(psutil.Process(pid).memory_info().rss) for pid in pids) / 1024

"""Round trips through a person, in whichever form the environment names."""

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from tests.support.received_frames import Frame
from tests.support.server import Server, Template
from tests.support.websocket import WsClient

TRIPS = 300
AT_ONCE = 16
RESUMED = 20
PARK_AFTER = 0.3
# Longer than a host stays that has no run left in memory.
UNTIL_NO_HOST = 6.5


def is_end(frame: Frame) -> bool:
    """The last frame of a run's output."""
    return (frame["type"], frame.get("status")) == ("system_response_message", "complete")


def socket(server: Server, name: str, user: str = "ann") -> WsClient:
    """A socket on a conversation with the probe."""
    return WsClient(server, name, user=user, workflow="probe")


async def milliseconds(times: int, work: Callable[[], Awaitable[object]]) -> float:
    """The median time that the work takes."""
    spent = []
    for _ in range(times):
        began = time.perf_counter()
        await work()
        spent.append(1000 * (time.perf_counter() - began))
    return statistics.median(spent)


async def ping(client: WsClient) -> None:
    """There and back, with nothing stored."""
    await client.send({"type": "ping_message"})
    await client.until("pong_message")


async def trip(client: WsClient) -> None:
    """One answer, stored, to the next prompt, stored."""
    await client.answer("continue")
    await client.until("system_interaction_message")


async def round_trips(server: Server) -> dict[str, float]:
    """A round trip through a person, against a bare one on the same socket."""
    async with socket(server, "trips") as client:
        bare = await milliseconds(TRIPS, lambda: ping(client))
        await client.message(f"approve {TRIPS + 1}")
        await client.until("system_interaction_message")
        durable = await milliseconds(TRIPS, lambda: trip(client))
    return {"bare round trip, ms": bare, "durable round trip, ms": durable, "ratio": durable / bare}


async def throughput(server: Server) -> dict[str, float]:
    """Round trips a second of many conversations at once, against one."""

    async def conversation(name: str) -> None:
        async with socket(server, name) as client:
            await client.message(f"approve {TRIPS}")
            for _ in range(TRIPS):
                await client.until("system_interaction_message")
                await client.answer("continue")
            await client.until(is_end)

    rates = []
    for count in (1, AT_ONCE):
        began = time.perf_counter()
        await asyncio.gather(*(conversation(f"rate{count}-{n}") for n in range(count)))
        rates.append(count * TRIPS / (time.perf_counter() - began))
    one, many = rates
    return {"one conversation, trips/s": one, f"{AT_ONCE}, trips/s": many, "ratio": many / one}


async def resumed(server: Server) -> dict[str, float]:
    """From an answer to the run's end: one in memory, one that was parked, one without a host."""
    patience = {"in memory": 0.0, "parked": 3 * PARK_AFTER, "no host": UNTIL_NO_HOST}
    names = {kind: [f"{kind}{number}" for number in range(RESUMED)] for kind in patience}
    spent = {}
    for kind, seconds in patience.items():
        if not seconds:
            spent[kind] = statistics.median([await _answered(server, one) for one in names[kind]])
            continue
        await asyncio.gather(*(_ask(server, one) for one in names[kind]))
        await asyncio.sleep(seconds)
        spent[kind] = statistics.median([await _resume(server, one) for one in names[kind]])
    slower = {f"{kind}, ratio": spent[kind] / spent["in memory"] for kind in ("parked", "no host")}
    return {f"{kind}, ms": value for kind, value in spent.items()} | slower


async def _ask(server: Server, name: str) -> None:
    async with socket(server, name) as client:
        await client.message("ask")
        await client.until("system_interaction_message")


async def _answered(server: Server, name: str) -> float:
    async with socket(server, name) as client:
        await client.message("ask")
        return await answer_to_end(client)


async def _resume(server: Server, name: str, user: str = "ann") -> float:
    async with socket(server, name, user) as client:
        return await answer_to_end(client)


async def answer_to_end(client: WsClient) -> float:
    """Milliseconds from the answer to the pending prompt to the end of the run."""
    prompt = await client.until("system_interaction_message")
    began = time.perf_counter()
    await client.answer("yes", prompt)
    await client.until(is_end)
    return 1000 * (time.perf_counter() - began)


def show(benchmark: Callable[..., object], values: dict[str, float]) -> None:
    """Print what a benchmark gave."""
    print(benchmark.__doc__)
    for name, value in values.items():
        print(f"  {name:<36}{value:>10.2f}", flush=True)


def report(template: Template, directory: Path) -> None:
    """Start a server of the form, run all, print."""
    server = Server.from_template(template, directory, PARK_AFTER=str(PARK_AFTER))
    server.start()
    try:
        for benchmark in (round_trips, throughput, resumed):
            show(benchmark, asyncio.run(benchmark(server)))
    finally:
        server.drop()

"""Run the benchmarks against a real server and print a table of ratios."""

import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from tests.support.server import Server, seed
from tests.support.websocket import Frame, WsClient

TRIPS = 300
AT_ONCE = 16
EVENTS = 10_000
OPENINGS = 20


def is_end(frame: Frame) -> bool:
    """The last frame of a run's output."""
    return (frame["type"], frame["status"]) == ("system_response_message", "complete")


def socket(server: Server, name: str) -> WsClient:
    """A socket on a conversation with the probe."""
    return WsClient(server, name, workflow="probe")


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


def main() -> None:
    """Start a server, run all, print."""
    with tempfile.TemporaryDirectory() as directory:
        template = Path(directory, "template")
        template.mkdir()
        (template / "cookies.json").write_text(json.dumps(seed(template, ["ann"])))
        server = Server.from_template(template, Path(directory, "server"))
        server.start()
        try:
            for benchmark in (round_trips, throughput, opening):
                print(benchmark.__doc__)
                for name, value in asyncio.run(benchmark(server)).items():
                    print(f"  {name:<32}{value:>10.2f}")
        finally:
            server.kill()


if __name__ == "__main__":
    main()

"""The shared parts of the in-process peers: people who answer until the time is up.

Standard output has a line at the start, and a line with the figures, as JSON.
"""

import asyncio
import json
import statistics
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Awaitable, Callable

PROMPTS = 10


def arguments() -> Namespace:
    """Parse the benchmark's arguments."""
    parser = ArgumentParser()
    parser.add_argument("database", help="a path of SQLite or a URL of PostgreSQL")
    parser.add_argument("people", type=int)
    parser.add_argument("seconds", type=float)
    parser.add_argument("--one-node", action="store_true", help="LangGraph: all prompts in one")
    return parser.parse_args()


async def measure(
    options: Namespace, thread: Callable[[Callable[[], None]], Awaitable[None]]
) -> None:
    """Run `thread`, with ten prompts and a callback after each answer; print the figures."""
    durations: list[float] = []
    clock = time.perf_counter
    await thread(lambda: None)
    print("begin", flush=True)
    begin = clock()

    async def person() -> None:
        while clock() < begin + options.seconds:
            began = clock()

            def answered() -> None:
                nonlocal began
                durations.append(1000 * (clock() - began))
                began = clock()

            await thread(answered)

    await asyncio.gather(*(person() for _ in range(options.people)))
    took = clock() - begin
    durations.sort()
    figures = {
        "per_s": len(durations) / took,
        "p50_ms": statistics.median(durations),
        "p99_ms": durations[len(durations) * 99 // 100],
        "units": len(durations),
        "seconds": took,
    }
    print(json.dumps(figures), flush=True)

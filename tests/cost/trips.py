"""The trips of a client whose cost is counted, and the choice of trips that nothing disturbed."""

import asyncio
from collections.abc import Awaitable, Callable

from tests.cost.counted_server import PAUSE, CountedClient, CountedServer, Counts, until_quiet

METRICS = (
    *("statements", "queries", "commits", "thread changes"),
    *("JSON parses", "JSON dumps", "bytes", "calls"),
)  # fmt: skip
# All but these are the same each time. Of these a trip may differ by this share from the figure.
INEXACT = ("bytes", "calls")
TOLERANCE = 0.03
# Trips are made until so many cost the same, up to a share of the calls; at most so many are made.
ALIKE, SHARE, MOST = 3, 0.001, 40


def total(counts: Counts, metric: str) -> int:
    """Return the sum of a metric."""
    return sum(count for (name, _), count in counts.items() if name == metric)


def count_trips(counted: CountedServer) -> dict[str, Counts]:
    """Return the cost of each trip."""
    return asyncio.run(_count_trips(counted))


async def _count_trips(counted: CountedServer) -> dict[str, Counts]:
    async with CountedClient(counted.server) as client:

        async def run(text: str) -> None:
            await client.message(text)
            await client.until_ended("completed")

        async def answer() -> None:
            await client.answer("continue", client.of_type("system_interaction_message")[-1])
            await client.until("system_interaction_message")

        async def cost(text: str) -> Counts:
            return await _usual_cost(counted, client, lambda: run(text))

        async def another(text: str) -> Counts:
            """Return the cost of the third step or piece, as later ones have it."""
            costs = await cost(text.format(3))
            costs.subtract(await cost(text.format(2)))
            return costs

        trips = {
            "echo": await cost('echo("hello")'),
            "step": await another(f"step(count={{}}, seconds={PAUSE})"),
            "streamed piece": await another(f"stream(tokens={{}}, delay={PAUSE})"),
        }
        await client.message(f"approve(count={MOST + 2})")
        await client.until("system_interaction_message")
        return trips | {"prompt and answer": await _usual_cost(counted, client, answer)}


async def _usual_cost(
    counted: CountedServer, client: CountedClient, trip: Callable[[], Awaitable[None]]
) -> Counts:
    """Make trips until several cost the same; return their cost. The first is not counted."""
    costs: list[Counts] = []
    counted.look(in_trip=False)
    await trip()
    while len(costs) < MOST:
        counted.look(in_trip=False)
        before = await until_quiet(counted, client)
        await trip()
        cost = await until_quiet(counted, client)
        cost.subtract(before)
        costs.append(cost)
        if sum(_is_alike(cost, other) for other in costs) >= ALIKE:
            return cost
    totals = [[total(cost, metric) for metric in METRICS] for cost in costs]
    raise AssertionError(f"No {ALIKE} trips cost the same. These are their {METRICS}: {totals}")


def _is_alike(cost: Counts, other: Counts) -> bool:
    """Return whether two trips cost the same. Bytes grow with the digits of sequence numbers."""
    return all(
        abs(total(cost, metric) - total(other, metric)) <= SHARE * total(other, metric)
        for metric in METRICS
        if metric != "bytes"
    )

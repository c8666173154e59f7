"""The table with the peers: in rounds, each contender does each case, one right after the other."""

import asyncio
import statistics
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from bench.contenders import IN_PROCESS, SERVERS, Contender
from bench.load import load

# By case: how many people are at work at once.
PEOPLE = {"prompts": (1, 16, 64), "echo": (1, 16, 64), "stream": (1, 16)}
UNITS = {"prompts": "prompts/s", "echo": "echoes/s", "stream": "tokens/s"}
CASES = [(work, people) for work, several in PEOPLE.items() for people in several]
Figures = dict[str, float]
# By case and contender: the figures of each round.
Rounds = dict[tuple[str, int], dict[str, list[Figures]]]


@dataclass(frozen=True)
class Plan:
    """What is measured."""

    contenders: Sequence[str]
    works: Sequence[str] = tuple(PEOPLE)
    rounds: int = 3
    seconds: float = 1.0


def measure(plan: Plan) -> Rounds:
    """All rounds; servers are new in each, so that none is slower for what it has stored."""
    rounds: Rounds = defaultdict(lambda: defaultdict(list))
    for number in range(plan.rounds):
        with tempfile.TemporaryDirectory(prefix="bench-") as directory, ExitStack() as stack:
            servers = {}
            for name in plan.contenders:
                if name in SERVERS:
                    place = Path(directory, name)
                    place.mkdir()
                    servers[name] = stack.enter_context(SERVERS[name](place))
            for work, people in CASES:
                if work in plan.works:
                    for name in plan.contenders:
                        if figures := once(plan, servers.get(name), name, work, people):
                            rounds[work, people][name].append(figures)
                            say(number, name, work, people, figures)
    return rounds


def once(plan: Plan, server: Contender | None, name: str, work: str, people: int) -> Figures | None:
    """One contender at one case; None if it is not for it."""
    if server:
        return asyncio.run(
            load(server.target, work, people, seconds=plan.seconds, busy=server.busy)
        )
    if work != "prompts":
        return None
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        return IN_PROCESS[name].measure(Path(directory), people, plan.seconds)


def say(number: int, name: str, work: str, people: int, figures: Figures) -> None:
    """Say how it goes."""
    print(
        f"{number + 1}  {work:<8}{people:>3}  {name:<22}{figures['per_s']:>10,.0f}/s"
        f"{figures['cpu_ms']:>9.3f} ms CPU{figures['p50_ms']:>9.2f} ms p50",
        flush=True,
    )


def show(rounds: Rounds) -> None:
    """Medians, with the first contender's ratio to each."""
    for (work, people), by_name in rounds.items():
        first = [one["per_s"] for one in next(iter(by_name.values()))]
        for name, figures in by_name.items():
            rates = [one["per_s"] for one in figures]
            ratio = statistics.median(ours / its for ours, its in zip(first, rates, strict=True))
            cpu = statistics.median(one["cpu_ms"] for one in figures)
            print(
                f"{work:<8}{people:>3}  {name:<22}{statistics.median(rates):>10,.0f}/s "
                f"({min(rates):,.0f}–{max(rates):,.0f}){cpu:>9.3f} ms CPU{ratio:>8.2f}"
            )

"""The table with the peers: in each round, all contenders do a case directly after one another."""

import asyncio
import statistics
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from bench.contenders import IN_PROCESS, SERVERS, Contender
from bench.load import load

# Numbers of simultaneous people, by case.
PEOPLE = {"prompts": (1, 16, 64), "echo": (1, 16, 64), "stream": (1, 16)}
CASES = [(work, people) for work, several in PEOPLE.items() for people in several]
Figures = dict[str, float]
# Figures of all rounds, by case (such as "prompts 16") and by contender.
Results = dict[str, dict[str, list[Figures]]]
# Figures that are kept.
ROUNDED_FIGURES = ("per_s", "cpu_ms", "p50_ms", "p99_ms")


@dataclass(frozen=True)
class Plan:
    """The plan of the measurements."""

    contenders: Sequence[str]
    works: Sequence[str] = tuple(PEOPLE)
    rounds: int = 3
    seconds: float = 1.0


def measure(plan: Plan) -> Results:
    """Measure all rounds, each with new servers, so that stored rows slow none down."""
    results: Results = {}
    for number in range(1, plan.rounds + 1):
        with tempfile.TemporaryDirectory(prefix="bench-") as directory, ExitStack() as stack:
            servers: dict[str, Contender] = {}
            for name in plan.contenders:
                if name in SERVERS:
                    place = Path(directory, name)
                    place.mkdir()
                    servers[name] = stack.enter_context(SERVERS[name](place))
            for work, people in CASES:
                for name in plan.contenders:
                    if work in plan.works and takes_part(name, work, people):
                        figures = once(plan, servers.get(name), name, work, people)
                        case = results.setdefault(f"{work} {people}", {})
                        rounded_figures = {
                            figure: round(figures[figure], 4) for figure in ROUNDED_FIGURES
                        }
                        case.setdefault(name, []).append(rounded_figures)
                        say(f"{number}  {work:<8}{people:>3}  {name:<22}", rounded_figures)
    return results


def takes_part(name: str, work: str, people: int) -> bool:
    """Return whether the case applies to the contender: in-process ones have no socket."""
    return name in SERVERS or (work == "prompts" and people in IN_PROCESS[name].people)


def once(plan: Plan, server: Contender | None, name: str, work: str, people: int) -> Figures:
    """Measure one contender with one case."""
    if server:
        return asyncio.run(
            load(server.target, work, people, seconds=plan.seconds, busy=server.busy)
        )
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        return IN_PROCESS[name].measure(Path(directory), people, plan.seconds)


def say(label: str, figures: Figures) -> None:
    """Print the progress."""
    rate, cpu, p50 = (figures[name] for name in ("per_s", "cpu_ms", "p50_ms"))
    print(f"{label}{rate:>10,.0f}/s{cpu:>9.3f} ms CPU{p50:>9.2f} ms p50", flush=True)


def show(results: Results) -> None:
    """Print the medians, and the ratio of the first contender to each other one."""
    for case, by_name in results.items():
        first = [round_["per_s"] for round_ in next(iter(by_name.values()))]
        for name, figures in by_name.items():
            rates = [round_["per_s"] for round_ in figures]
            ratio = statistics.median(
                ours / theirs for ours, theirs in zip(first, rates, strict=True)
            )
            cpu = statistics.median(round_["cpu_ms"] for round_ in figures)
            print(
                f"{case:<11}  {name:<22}{statistics.median(rates):>10,.0f}/s "
                f"({min(rates):,.0f}–{max(rates):,.0f}){cpu:>9.3f} ms CPU{ratio:>8.2f}"
            )

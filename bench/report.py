"""The tables of bench/RESULTS.md: the measurements, and the goals."""

import os
import platform
import statistics
import subprocess
from collections.abc import Iterator
from typing import Any

from bench.table import CASES, PEOPLE, Results
from tests.support.processes.environment import ROOT

PAGE = ROOT / "bench" / "RESULTS.md"
BEGIN, END = "<!-- make bench writes from here -->\n", "<!-- to here -->\n"
LABELS = {
    "ours": "ours",
    "beside": "the other checkout",
    "ours-uvicorn": "ours, uvicorn",
    "ours-cluster": "ours, cluster",
    "nat": "`nat serve`",
    "langgraph-sqlite": "LangGraph, SQLite",
    "langgraph-sqlite-one": "LangGraph, SQLite, one node",
    "langgraph-postgresql": "LangGraph, PostgreSQL",
    "langgraph-postgresql-one": "LangGraph, PostgreSQL, one node",
    "dbos-sqlite": "DBOS, SQLite",
    "dbos-postgresql": "DBOS, PostgreSQL",
}


# Durable peers with the same database. The goal is at least the rate of each.
YARDSTICKS = {
    "ours": ("langgraph-sqlite", "langgraph-sqlite-one", "dbos-sqlite"),
    "ours-cluster": ("langgraph-postgresql", "langgraph-postgresql-one", "dbos-postgresql"),
}


def times(results: Results, case: str, ours: str, peer: str, figure: str = "per_s") -> list[float]:
    """Return the ratio of our rate to the peer's, for each round in which both took part.

    For processor time (`cpu_ms`), the ratio is the peer's time divided by ours.
    """
    pairs = zip(results[case].get(ours, []), results[case].get(peer, []), strict=False)
    values = [(own[figure], its[figure]) for own, its in pairs]
    return [its / own if figure == "cpu_ms" else own / its for own, its in values]


def number(value: float) -> str:
    """Format a value with three significant digits, or all digits before the point."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def spread(values: list[float]) -> str:
    """Return the median with the minimum and the maximum."""
    if not values:
        return ""
    return f"{number(statistics.median(values))} ({number(min(values))}–{number(max(values))})"


def rows(*cells: object) -> str:
    """Return one row of a table in Markdown."""
    return f"| {' | '.join(map(str, cells))} |"


def head(*cells: str) -> Iterator[str]:
    """Yield the first two rows of a table."""
    yield rows(*cells)
    yield rows(*["---"] * len(cells))


def rates(results: Results, figure: str) -> Iterator[str]:
    """Yield a table by contender and case of a figure of `load`."""
    cases = [case for case in (f"{work} {people}" for work, people in CASES) if case in results]
    yield from head("", *cases)
    for name, label in LABELS.items():
        if any(name in results[case] for case in cases):
            values = ([round_[figure] for round_ in results[case].get(name, [])] for case in cases)
            yield rows(label, *map(spread, values))


def ratios(results: Results) -> Iterator[str]:
    """Yield a table of prompts compared with the durable peers."""
    yield from head("case", "against", "times", "", "by processor time")
    for ours, peers in YARDSTICKS.items():
        for peer in peers:
            for case in (f"prompts {people}" for people in PEOPLE["prompts"]):
                if case in results and (values := times(results, case, ours, peer)):
                    yield rows(
                        f"{case}, {LABELS[ours]}",
                        LABELS[peer],
                        spread(values),
                        "met" if statistics.median(values) >= 1 else "**not met**",
                        spread(times(results, case, ours, peer, "cpu_ms")),
                    )


def compare_forms(figures: dict[str, dict[str, float]]) -> Iterator[str]:
    """Yield a table of the figures by case and form."""
    yield from head("", *figures)
    for name in dict.fromkeys(name for form in figures.values() for name in form):
        values = [form.get(name) for form in figures.values()]
        yield rows(name, *("" if value is None else number(value) for value in values))


def machine() -> str:
    """Return a description of this machine."""
    model = subprocess.run(["lscpu"], capture_output=True, text=True, check=False).stdout
    names = [line.partition(":")[2].strip() for line in model.splitlines() if "Model name" in line]
    python = f"Python {platform.python_version()}"
    return f"{os.cpu_count()} × {names[0] if names else platform.machine()}, {python}"


def tables(data: dict[str, Any]) -> Iterator[str]:
    """Yield all tables of the page."""
    results = data["table"]
    rounds = f"{data['rounds']} rounds of {data['seconds']:g} s a case"
    yield f"{data['machine']}, {data['date']}; {rounds}.\n"
    yield "Prompts, echoes and tokens a second, median and spread of the rounds:\n"
    yield from rates(results, "per_s")
    yield "\nMilliseconds of processor time for each, of all processes of the server:\n"
    yield from rates(results, "cpu_ms")
    yield "\nHow many times what a durable peer does, within a round; the goal is at least once:\n"
    yield from ratios(results)
    if data.get("beside"):
        yield "\nBeside it:\n"
        yield from compare_forms(data["beside"])


def write(data: dict[str, Any]) -> None:
    """Write the tables into the page."""
    before, _, rest = PAGE.read_text().partition(BEGIN)
    after = rest.partition(END)[2]
    section = "\n".join(["", *tables(data), "", ""])
    PAGE.write_text("".join([before, BEGIN, section, END, after]))

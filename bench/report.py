"""The tables of docs/performance.md: what was measured, and what is to be reached."""

import json
import os
import platform
import statistics
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.contenders import PEERS, PEERS_PYTHON
from bench.table import CASES, Results
from tests.support.processes.environment import ROOT

DOCS = ROOT / "docs"
PAGE, DATA, CHART = (DOCS / f"performance.{kind}" for kind in ("md", "json", "svg"))
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


@dataclass(frozen=True)
class Goal:
    """The goal that `contender` does `times` what `against` does; without one, so much a second."""

    work: str
    people: int
    contender: str
    against: str | None
    times: float

    def values_reached(
        self, results: Results, contender: str, figure: str = "per_s"
    ) -> list[float]:
        """Return what `contender` reached in each round; nothing if it was not measured.

        By processor time, `cpu_ms`, it is how much less of it was spent.
        """
        case = results.get(f"{self.work} {self.people}", {})
        ours = [round_[figure] for round_ in case.get(contender, [])]
        if self.against is None:
            return ours
        theirs = [round_[figure] for round_ in case.get(self.against, [])]
        if figure == "cpu_ms":
            ours, theirs = theirs, ours
        return [
            our_value / their_value for our_value, their_value in zip(ours, theirs, strict=False)
        ]


GOALS = [
    *(Goal("prompts", people, "ours", "nat", 0.4) for people in (1, 16, 64)),
    *(
        Goal("prompts", people, contender, f"langgraph-{store}{nodes}", times)
        for contender, store, several in (
            ("ours", "sqlite", {1: 4, 16: 7, 64: 7}),
            ("ours-cluster", "postgresql", {1: 1, 16: 1.5, 64: 1.5}),
        )
        for nodes in ("", "-one")
        for people, times in several.items()
    ),
    Goal("echo", 1, "ours", "nat", 1),
    Goal("echo", 16, "ours", "nat", 1.3),
    Goal("echo", 64, "ours", "nat", 1.5),
    # Three times what the cluster did on the machine of November 2026, by the second.
    Goal("echo", 1, "ours-cluster", None, 246),
    Goal("echo", 16, "ours-cluster", None, 360),
    # Nine tenths of what it was then.
    Goal("stream", 1, "ours", "nat", 7),
    Goal("stream", 16, "ours", "nat", 12.5),
]


def number(value: float) -> str:
    """Three digits that count, or all before the point."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def spread(values: list[float]) -> str:
    """Return the median with the least and the greatest."""
    if not values:
        return ""
    return f"{number(statistics.median(values))} ({number(min(values))}–{number(max(values))})"


def rows(*cells: object) -> str:
    """Return one row of a table."""
    return f"| {' | '.join(map(str, cells))} |"


def head(*cells: str) -> Iterator[str]:
    """Yield the first two rows of a table."""
    yield rows(*cells)
    yield rows(*["---"] * len(cells))


def rates(results: Results, figure: str) -> Iterator[str]:
    """Yield a table by contender and case: a figure of `load`."""
    cases = [case for case in (f"{work} {people}" for work, people in CASES) if case in results]
    yield from head("", *cases)
    for name, label in LABELS.items():
        if any(name in results[case] for case in cases):
            values = ([round_[figure] for round_ in results[case].get(name, [])] for case in cases)
            yield rows(label, *map(spread, values))


def ratios(results: Results) -> Iterator[str]:
    """Yield a table by goal: what was reached."""
    yield from head("case", "against", "goal", "reached", "", "by processor time", "uvicorn")
    for goal in GOALS:
        if values := goal.values_reached(results, goal.contender):
            yield rows(
                f"{goal.work} {goal.people}, {LABELS[goal.contender]}",
                LABELS[goal.against] if goal.against else "a second",
                f"≥ {goal.times:g}",
                spread(values),
                "met" if statistics.median(values) >= goal.times else "**not met**",
                spread(goal.values_reached(results, goal.contender, "cpu_ms"))
                if goal.against
                else "",
                spread(goal.values_reached(results, "ours-uvicorn"))
                if goal.contender == "ours"
                else "",
            )


def compare_forms(figures: dict[str, dict[str, float]]) -> Iterator[str]:
    """Yield a table by case and form: a figure."""
    yield from head("", *figures)
    for name in dict.fromkeys(name for form in figures.values() for name in form):
        values = [form.get(name) for form in figures.values()]
        yield rows(name, *("" if value is None else number(value) for value in values))


def machine() -> str:
    """Return a description of the machine that it was measured on."""
    model = subprocess.run(["lscpu"], capture_output=True, text=True, check=False).stdout
    names = [line.partition(":")[2].strip() for line in model.splitlines() if "Model name" in line]
    python = f"Python {platform.python_version()}"
    return f"{os.cpu_count()} × {names[0] if names else platform.machine()}, {python}"


def tables(data: dict[str, Any]) -> Iterator[str]:
    """Yield all tables."""
    results = data["table"]
    rounds = f"{data['rounds']} rounds of {data['seconds']:g} s a case"
    yield f"{data['machine']}, {data['date']}; {rounds}.\n"
    yield "Prompts, echoes and tokens a second, median and spread of the rounds:\n"
    yield from rates(results, "per_s")
    yield "\nMilliseconds of processor time for each, of all processes of the server:\n"
    yield from rates(results, "cpu_ms")
    yield "\nThe ratio within a round, and the goal; the last column is ours under uvicorn:\n"
    yield from ratios(results)
    if data.get("beside"):
        yield "\nBeside it:\n"
        yield from compare_forms(data["beside"])


def write(data: dict[str, Any]) -> None:
    """Write the data, the page's tables, and the chart."""
    DATA.write_text(json.dumps(data, indent=1, ensure_ascii=False) + "\n")
    before, _, rest = PAGE.read_text().partition(BEGIN)
    after = rest.partition(END)[2]
    chart_text = (
        f"![Prompts, echoes and tokens a second]({CHART.name})\n\nData: [{DATA.name}]({DATA.name})."
    )
    section = "\n".join(["", chart_text, *tables(data), "", ""])
    PAGE.write_text("".join([before, BEGIN, section, END, after]))
    chart = [str(PEERS_PYTHON), "chart.py", str(DATA), str(CHART)]
    subprocess.run(chart, cwd=PEERS, check=True)


def load(path: Path = DATA) -> dict[str, Any]:
    """Return what was measured last."""
    data: dict[str, Any] = json.loads(path.read_text())
    return data

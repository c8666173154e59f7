"""The figures in `figures.json`, their comparison with new counts, and the table of both."""

import json
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.cost.counted_server import Counts
from tests.cost.trips import INEXACT, METRICS, TOLERANCE, total
from tests.support.running_form import CLUSTER

FILE = Path(__file__).with_name("figures.json")
FORM = "cluster" if CLUSTER else "local"
# Its packages differ too: the local form is tested with the newest, the cluster with the lowest.
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
MODULE = "WEB_SERVER=uvicorn {} -m tests.services" if CLUSTER else "{} -m"
WRITE = f"{MODULE.format(sys.executable)} tests.cost --write"
# Differences that are listed, and characters of each.
LISTED, WIDTH = 8, 200
Trips = Mapping[str, Counts]


def compare(counted: Trips) -> str:
    """Return what is not as the file says, in lines of text; nothing if all is."""
    recorded = _read()
    if not any(total(counts, "calls") for counts in recorded.values()):
        return f"figures.json has no calls of Python {PYTHON}, form {FORM}. Record them: {WRITE}"
    lines = [line for trip in counted for line in _compare(trip, recorded[trip], counted[trip])]
    if lines:
        lines.append(f"If that is right, write the new figures: {WRITE}")
    return "\n".join(lines)


def differences(before: Counts, after: Counts, metric: str) -> list[str]:
    """Return a line for each of the largest differences of a metric."""
    changes = {
        key: after[metric, key] - before[metric, key]
        for name, key in {**before, **after}
        if name == metric and after[metric, key] != before[metric, key]
    }
    largest = sorted(changes, key=lambda key: (-abs(changes[key]), key))
    return [f"    {changes[key]:+6} {key[:WIDTH]}" for key in largest[:LISTED]]


def table(columns: Mapping[str, Trips]) -> str:
    """Return the totals of each trip; of a second column also the largest differences of calls."""
    first = next(iter(columns.values()))
    lines = [f"{FORM}, Python {PYTHON}".ljust(24) + "".join(f"{name:>16}" for name in columns)]
    for trip in first:
        lines.append(trip)
        for metric in METRICS:
            totals = [total(trips[trip], metric) for trips in columns.values()]
            lines.append(f"    {metric:20}" + "".join(f"{count:16,}" for count in totals))
    return "\n".join(lines)


def write(counted: Trips) -> None:
    """Replace the figures of this form; of the calls those of this Python."""
    figures = json.loads(FILE.read_text()) if FILE.exists() else {}
    for trip, counts in counted.items():
        figure = figures.setdefault(FORM, {}).setdefault(trip, {})
        for metric in METRICS:
            values = {
                key: count for (name, key), count in counts.items() if name == metric and count
            }
            if metric == "calls":
                figure.setdefault(metric, {})[PYTHON] = values
            else:
                figure[metric] = values
    FILE.write_text(json.dumps(figures, indent=1, sort_keys=True, ensure_ascii=False) + "\n")


def _read() -> dict[str, Counts]:
    """Return the figures of this form and this Python."""
    trips: dict[str, Counts] = {}
    for trip, figure in json.loads(FILE.read_text()).get(FORM, {}).items():
        values: dict[str, Any] = figure | {"calls": figure["calls"].get(PYTHON, {})}
        trips[trip] = Counter(
            {(metric, key): count for metric in METRICS for key, count in values[metric].items()}
        )
    return trips


def _compare(trip: str, before: Counts, after: Counts) -> Iterator[str]:
    wrong = [metric for metric in METRICS if not _fits(metric, before, after)]
    for metric in wrong:
        change = total(after, metric) - total(before, metric)
        yield f"{trip}, {FORM}: {total(after, metric):,} {metric}, {change:+,} to figures.json"
        yield from differences(before, after, metric)
    if wrong and "calls" not in wrong:
        yield f"{trip}, {FORM}: calls by process, thread and folder"
        yield from differences(before, after, "calls")


def _fits(metric: str, before: Counts, after: Counts) -> bool:
    tolerance = TOLERANCE * total(before, metric) if metric in INEXACT else 0
    return abs(total(after, metric) - total(before, metric)) <= tolerance

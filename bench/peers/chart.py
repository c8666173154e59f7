"""`python chart.py DATA.json CHART.svg`: the rates, as bars beside each other."""

import json
import statistics
import sys
from pathlib import Path

import matplotlib as mpl
from matplotlib import pyplot

# One colour for each, the same in all parts; ours are of one family.
COLOURS = {
    "ours": ("ours", "#1f4e9c"),
    "ours-uvicorn": ("ours, uvicorn", "#5b8fd9"),
    "ours-cluster": ("ours, cluster", "#a9c7f0"),
    "nat": ("nat serve (stores nothing)", "#76a532"),
    "langgraph-sqlite": ("LangGraph, SQLite", "#d9822b"),
    "langgraph-sqlite-one": ("LangGraph, SQLite, one node", "#b3561a"),
    "langgraph-postgresql": ("LangGraph, PostgreSQL", "#f0b679"),
    "langgraph-postgresql-one": ("LangGraph, PostgreSQL, one node", "#e8cfa8"),
    "dbos-postgresql": ("DBOS, PostgreSQL", "#8c5a8f"),
    "dbos-sqlite": ("DBOS, SQLite", "#c9a6cb"),
}
ABOVE = {"rotation": 90, "ha": "center", "va": "bottom", "fontsize": 6.5}
PARTS = {"prompts": "prompts a second", "echo": "echoes a second", "stream": "tokens a second"}


def main(data: Path, chart: Path) -> None:
    """Draw the chart of the data."""
    results = json.loads(data.read_text())["table"]
    mpl.rcParams |= {
        "svg.hashsalt": "bench",
        "svg.fonttype": "none",
        "font.size": 9,
        "axes.spines.top": False,
    }
    figure, axes = pyplot.subplots(1, len(PARTS), figsize=(12, 4.6), width_ratios=(3, 2, 1.5))
    for part, (work, title) in zip(axes, PARTS.items(), strict=True):
        draw(part, {case: by for case, by in results.items() if case.split()[0] == work})
        part.set_title(title)
        part.spines["right"].set_visible(False)
    # The prompts have all contenders.
    bars, labels = axes[0].get_legend_handles_labels()
    figure.legend(bars, labels, loc="lower center", ncols=5, frameon=False)
    figure.tight_layout(rect=(0, 0.11, 1, 1))
    figure.savefig(chart, metadata={"Date": None})


def draw(part: pyplot.Axes, cases: dict[str, dict[str, list[dict[str, float]]]]) -> None:
    """Draw one kind of work: a group of bars for each number of people, a line for the spread."""
    names = [name for name in COLOURS if any(name in by_name for by_name in cases.values())]
    width = 0.85 / len(names)
    for place, name in enumerate(names):
        label, colour = COLOURS[name]
        for group, by_name in enumerate(cases.values()):
            rates = [round_["per_s"] for round_ in by_name.get(name, [])]
            if rates:
                middle = statistics.median(rates)
                error_bars = [[middle - min(rates)], [max(rates) - middle]]
                at = group + (place - (len(names) - 1) / 2) * width
                part.bar(
                    at, middle, width, color=colour, label=label, yerr=error_bars, ecolor="#333"
                )
                part.text(at, max(rates), f" {middle:,.0f}", **ABOVE)
                label = None
    part.set_xticks(range(len(cases)), [f"{case.split()[1]} at once" for case in cases])
    part.yaxis.set_major_formatter(mpl.ticker.StrMethodFormatter("{x:,.0f}"))
    part.margins(y=0.12)
    part.grid(axis="y", alpha=0.3)
    part.set_axisbelow(True)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))

"""`python -m tests.cluster.chaos --seed N --minutes M --users K`: everything goes wrong at random.

People use a cluster whose processes, Redis and PostgreSQL are killed, frozen and restarted; then
all heals, and what happened is held against what is allowed. The seed fixes what is struck and what
people do, not the order in which the machine runs it.
"""

import argparse
import asyncio
import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.cluster.checker.checker import violations
from tests.cluster.checker.history import History
from tests.cluster.cluster import Cluster, Template
from tests.cluster.collect_history import history
from tests.cluster.nemesis import Nemesis
from tests.cluster.workload import Workload
from tests.support.processes.child import ROOT

# Of which an operator resumes runs that were under way at too many crashes.
RESUME = """
from sessions_app import operators
from sessions_app.models import Run
for run in Run.objects.filter(status="suspended", error__code="crashed"):
    operators.resume(run.pk, by="chaos")
"""
SUSPENDED = "SELECT count(*) AS count FROM sessions_app_run WHERE status = 'suspended'"
SHOWN = 60
QUIET = 120.0


def main() -> int:
    """Run; 0 if all was allowed."""
    options = _options()
    sys.stdout.write(f"seed {options.seed}, {options.minutes} minutes, {options.users} people\n")
    sys.stdout.flush()
    directory = Path(tempfile.mkdtemp(prefix="chaos-"))
    template = Template(directory / "template")
    made = Cluster(template, directory / "c", webs=2, workers=3, idle=3.0, build=300)
    with made as cluster:
        status = asyncio.run(_run(cluster, options))
    if status:
        sys.stdout.write(f"\nAll logs and the database are in {directory}\n")
    else:
        shutil.rmtree(directory)
    return status


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10_000))
    parser.add_argument("--minutes", type=float, default=3.0)
    parser.add_argument("--users", type=int, default=40)
    return parser.parse_args()


async def _run(cluster: Cluster, options: argparse.Namespace) -> int:
    nemesis = Nemesis(cluster, options.seed)
    async with Workload(cluster, options.users, options.seed) as workload:
        stuck = ""
        try:
            await nemesis.strike_until(time.monotonic() + options.minutes * 60)
            await asyncio.to_thread(cluster.heal)
            await asyncio.to_thread(_resume, cluster)
            await workload.finish(QUIET)
        except AssertionError as error:
            stuck = str(error)
    found = history(cluster, workload.people, faults=nemesis.struck.total())
    wrong = [stuck] if stuck else []
    wrong += violations(found)
    _report(nemesis, found, wrong)
    if wrong:
        sys.stdout.write("\n".join(["", *nemesis.story, *_dump(found, wrong), cluster.tails(60)]))
    return bool(wrong)


def _resume(cluster: Cluster) -> None:
    """What an operator does about runs that are set aside."""
    if cluster.rows(SUSPENDED)[0]["count"]:
        subprocess.run(
            [sys.executable, "manage.py", "shell", "--no-imports", "-c", RESUME],
            cwd=ROOT,
            env=dict(cluster.environment("operator")),
            check=True,
        )


def _report(nemesis: Nemesis, found: History, wrong: list[str]) -> None:
    struck = ", ".join(f"{what} {count}" for what, count in sorted(nemesis.struck.items()))
    cut_off = sum(len(view.close_codes) for view in found.views)
    lines = [
        f"faults: {struck}",
        f"{len(found.runs)} runs, {len(found.interactions)} answers, {len(found.events)} events, "
        f"{cut_off} reconnects",
        f"{len(wrong)} violations" if wrong else "all as it must be",
        *wrong[:SHOWN],
    ]
    sys.stdout.write("\n".join(lines) + "\n")


def _dump(found: History, wrong: list[str]) -> list[str]:
    """The histories of the conversations that the violations are about."""
    text = "\n".join(wrong)
    names = {run.id: run.conversation for run in found.runs}
    names |= {asked.id: names[asked.run] for asked in found.interactions}
    blamed = {name for key, name in names.items() if key in text or name in text}
    lines = []
    for name in sorted(blamed)[:3]:
        runs = {key for key, of in names.items() if of == name}
        lines.append(f"===== {name}")
        lines += [str(event) for event in found.events if event.conversation == name]
        lines += [str(row) for row in found.audit if row.conversation == name]
        lines += [str(note) for note in found.diary if note.subject.split(":")[0] in runs]
        for view in found.views:
            if view.conversation == name:
                lines += [f"----- {view.name} {view.close_codes}"]
                lines += [json.dumps(frame)[:300] for frame in view.frames]
    return lines


if __name__ == "__main__":
    sys.exit(main())

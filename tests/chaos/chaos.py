"""`python -m tests.chaos.chaos --seed N --minutes M --users K`: everything goes wrong at random.

People use a cluster whose processes, Redis and PostgreSQL are killed, frozen and restarted, and
then one process that is killed and frozen, has a full, a slow and a locked disk, a clock that
jumps, and messages that get lost. Then all heals, and what happened is held against what is
allowed. The seed fixes what is struck and what people do, not the order in which the machine runs
it. `--form` has it be one of the two.
"""

import argparse
import asyncio
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from sessions_app.storage.safety_times import STALLED_AFTER
from tests.chaos.forms import AnyForm, forms, options, started
from tests.chaos.nemeses.cluster_nemesis import ClusterNemesis
from tests.chaos.nemeses.damage import wrong_under_damage
from tests.chaos.nemeses.local_nemesis import LocalNemesis
from tests.chaos.nemeses.nemesis import Nemesis
from tests.chaos.one_process import OneProcess
from tests.cluster.checker.checker import violations
from tests.cluster.checker.history import History
from tests.cluster.cluster import Cluster
from tests.cluster.collect_history import history
from tests.cluster.workload import Workload
from tests.support.processes import fork_server
from tests.support.processes.environment import ROOT

# Of which an operator resumes runs that were under way at too many crashes.
RESUME = """
from django.contrib.auth.models import User
from sessions_app import runs
from sessions_app.models import Run
for run in Run.objects.filter(status="suspended", error__code="crashed"):
    runs.resume(run.pk, by=User(username="chaos"))
"""
SUSPENDED = "SELECT count(*) AS count FROM sessions_app_run WHERE status = 'suspended'"
SHOWN = 60
QUIET = 120.0


def main() -> int:
    """Run; return 0 if nothing was violated."""
    arguments = options(__doc__, minutes=3.0, users=40).parse_args()
    try:
        return max(_hurt(form, arguments) for form in forms(arguments))
    finally:
        fork_server.close()


def _hurt(form: str, arguments: argparse.Namespace) -> int:
    lines = (
        f"{form}: seed {arguments.seed}, {arguments.minutes} minutes, {arguments.users} people\n"
    )
    sys.stdout.write(lines)
    sys.stdout.flush()
    directory = Path(tempfile.mkdtemp(prefix="chaos-"))
    with started(form, directory) as running_form:
        wrong = asyncio.run(
            run(running_form, arguments.seed, arguments.minutes * 60, arguments.users)
        )
    if wrong:
        sys.stdout.write(f"\nAll logs and the database are in {directory}\n")
    else:
        shutil.rmtree(directory)
    return bool(wrong)


async def run(form: AnyForm, seed: int, seconds: float, users: int) -> list[str]:
    """Hurt it for so long while so many use it; say what came of it, and return what is wrong."""
    nemesis: Nemesis
    nemesis = ClusterNemesis(form, seed) if isinstance(form, Cluster) else LocalNemesis(form, seed)
    async with Workload(form, users, seed) as workload:
        stuck = []
        try:
            await nemesis.strike_until(time.monotonic() + seconds)
            await asyncio.to_thread(form.heal)
            finishing = asyncio.create_task(workload.finish(QUIET))
            while not finishing.done():  # what the last kill set aside shows at its take-over
                await asyncio.to_thread(_resume, form)
                await asyncio.wait([finishing], timeout=STALLED_AFTER)
            await finishing
        except AssertionError as error:
            stuck = [str(error)]
    collected = history(form, workload.people, faults=nemesis.struck.total())
    wrong = [*stuck, *violations(collected)]
    if not wrong and isinstance(form, OneProcess):
        wrong = await asyncio.to_thread(wrong_under_damage, form)
    _report(nemesis, collected, wrong)
    if wrong:
        sys.stdout.write("\n".join(["", *nemesis.story, *_dump(collected, wrong), form.tails(60)]))
    return wrong


def _resume(form: AnyForm) -> None:
    if not form.rows(SUSPENDED)[0]["count"]:
        return
    subprocess.run(
        [sys.executable, "manage.py", "shell", "--no-imports", "-c", RESUME],
        cwd=ROOT,
        env=dict(form.environment("operator")),
        check=True,
    )
    if isinstance(form, OneProcess):  # it looks for what others have resumed when it starts
        form.node.kill()
        form.until_up()


def _report(nemesis: Nemesis, collected: History, wrong: list[str]) -> None:
    struck = ", ".join(f"{fault} {count}" for fault, count in sorted(nemesis.struck.items()))
    cut_off = sum(len(view.close_codes) for view in collected.views)
    lines = [
        f"{nemesis.struck.total()} faults: {struck}",
        f"{len(collected.runs)} runs, {len(collected.interactions)} answers, "
        f"{len(collected.events)} events, "
        f"{cut_off} reconnects",
        f"{len(wrong)} violations" if wrong else "all as it must be",
        *wrong[:SHOWN],
    ]
    if nemesis.left_out:
        lines.insert(1, f"left out, as this machine cannot do them: {', '.join(nemesis.left_out)}")
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()


def _dump(collected: History, wrong: list[str]) -> list[str]:
    """Return the histories of the conversations that the violations are about."""
    text = "\n".join(wrong)
    names = {run.id: run.conversation for run in collected.runs}
    names |= {interaction.id: names[interaction.run] for interaction in collected.interactions}
    blamed = {name for key, name in names.items() if key in text or name in text}
    lines = []
    for name in sorted(blamed)[:3]:
        runs = {key for key, of in names.items() if of == name}
        lines.append(f"===== {name}")
        lines += [str(event) for event in collected.events if event.conversation == name]
        lines += [str(row) for row in collected.audit if row.conversation == name]
        lines += [str(note) for note in collected.diary if note.subject.split(":")[0] in runs]
        for view in collected.views:
            if view.conversation == name:
                lines += [f"----- {view.name} {view.close_codes}"]
                lines += [json.dumps(frame)[:300] for frame in view.frames]
    return lines


if __name__ == "__main__":
    sys.exit(main())

"""The command `manage.py check_replay`."""

import asyncio
from collections import Counter
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db.models import Q

from sessions_app.contrib.replay.history_replay import Replay, replay_all
from sessions_app.models import Run

NEXT = "\n  "
# Error codes of suspended runs whose code, in a replay, may block or kill this process, too.
HARMFUL = ("blocked", "crashed")


class Command(BaseCommand):
    """A command with exit status 1 if a run could not continue; harmless differences pass."""

    help = (
        "Replay the journals of unfinished runs against the code as it is: no step is executed, "
        "nothing is stored. Before a deploy, run it with the new code on the database."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("runs", nargs="*", type=UUID, help="these runs; else all unfinished")
        parser.add_argument(
            "--differences",
            action="store_true",
            help="also print harmless differences from the record",
        )

    def handle(self, *, runs: list[UUID], differences: bool, **_: object) -> None:
        # Leave out suspended runs whose code killed or blocked its process.
        suspended = Q(status=Run.Status.SUSPENDED) & ~Q(error__code__in=HARMFUL)
        to_go_on = Q(status__in=Run.UNFINISHED) | suspended
        unfinished_runs = Run.objects.filter(to_go_on, started_at__isnull=False)
        run_rows = Run.objects.filter(pk__in=runs) if runs else unfinished_runs
        found_runs = list(run_rows.order_by("created_at").values_list("pk", flat=True))
        if unknown_runs := set(runs).difference(found_runs):
            raise CommandError(f"There is no run {', '.join(map(str, unknown_runs))}.")
        counts = asyncio.run(self._replay(found_runs, differences=differences))
        self.stdout.write(
            f"{counts['replayed']} runs replayed: {counts['stopped']} could not continue, "
            f"{counts['different']} differ harmlessly."
        )
        if counts["stopped"]:
            raise SystemExit(1)

    async def _replay(self, runs: list[UUID], *, differences: bool) -> Counter[str]:
        counts: Counter[str] = Counter()
        names_by_problem: dict[str, list[str]] = {}
        async for replay in replay_all(runs):
            counts["replayed"] += 1
            counts["stopped"] += bool(replay.problem)
            counts["different"] += bool(replay.differences)
            if replay.problem:
                names_by_problem.setdefault(replay.problem, []).append(_run_name(replay))
            if differences:
                for difference in replay.differences:
                    self.stdout.write(f"~ {_run_name(replay)}: {difference}")
        for problem, names in names_by_problem.items():  # grouped, as one cause may stop many runs
            self.stdout.write(f"✗ {f',{NEXT}'.join(names)}: {problem}")
        return counts


def _run_name(replay: Replay) -> str:
    history = replay.history
    return f"{history.run} ({history.workflow} {history.version}, {history.status})"

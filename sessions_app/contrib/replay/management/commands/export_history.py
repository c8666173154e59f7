"""The command `manage.py export_history`."""

from pathlib import Path
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError, CommandParser

from sessions_app.contrib.replay.history_replay import RunHistory
from sessions_app.models import Run


class Command(BaseCommand):
    help = "Write a run with its journal as JSON, for replay_history in a test."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("run", type=UUID, help="the run's id")
        parser.add_argument("--output", metavar="FILE", type=Path, help="else it is printed")

    def handle(self, *, run: UUID, output: Path | None, **_: object) -> None:
        try:
            history = RunHistory.of(run)
        except Run.DoesNotExist:
            raise CommandError(f"There is no run {run}.") from None
        json = history.model_dump_json(indent=2)
        if output is None:
            self.stdout.write(json)
        else:
            output.write_text(f"{json}\n")

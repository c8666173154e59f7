"""`manage.py doctor`."""

import json
import time
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from sessions_app.doctor import end_to_end
from sessions_app.doctor.examine import CHECKS, Line, examine
from sessions_app.doctor.findings import Finding, Level
from sessions_app.settings import RuntimeSettings

MARKS = {Level.OK: "✓", Level.WARNING: "!", Level.WRONG: "✗"}
PAUSE = 1.0  # seconds between two looks


class Command(BaseCommand):
    """Exits with 1 if something is wrong; warnings are none."""

    help = "Look at this deployment from end to end; say what is wrong and what to do."
    requires_system_checks = ()  # they are among ours

    def add_arguments(self, parser: CommandParser) -> None:
        """Options."""
        parser.add_argument("--json", action="store_true", help="print one JSON object")
        parser.add_argument(
            "--end-to-end",
            action="store_true",
            help="also have work taken by a worker of each queue, and clean up after it",
        )
        parser.add_argument(
            "--wait",
            type=float,
            default=0,
            metavar="SECONDS",
            help="look again until nothing is wrong, for so long",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Look, print, exit."""
        checks = [*CHECKS, *(end_to_end.CHECKS if options["end_to_end"] else ())]
        until = time.monotonic() + options["wait"]
        lines = list(examine(checks))
        while not _well(lines) and time.monotonic() < until:
            time.sleep(PAUSE)
            lines = list(examine(checks))
        self.stdout.write(_as_json(lines) if options["json"] else _as_text(lines))
        if not _well(lines):
            raise SystemExit(1)


def _well(lines: list[Line]) -> bool:
    return all(line.finding.level != Level.WRONG for line in lines)


def _as_text(lines: list[Line]) -> str:
    return "\n".join(_as_line(line.check, line.finding) for line in lines)


def _as_line(check: str, finding: Finding) -> str:
    return f"{MARKS[finding.level]} {check}: {finding.text}. {finding.todo}".rstrip()


def _as_json(lines: list[Line]) -> str:
    rows = [{"check": line.check, **asdict(line.finding)} for line in lines]
    form = "cluster" if RuntimeSettings.load().cluster else "local"
    return json.dumps({"form": form, "well": _well(lines), "findings": rows}, indent=2)

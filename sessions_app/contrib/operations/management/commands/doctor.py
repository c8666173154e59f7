"""The command `manage.py doctor`, which checks a deployment."""

import json
import time
from typing import Any

from django.core.checks import ERROR, INFO, WARNING, CheckMessage
from django.core.management.base import BaseCommand, CommandParser

from sessions_app.contrib.operations.doctor.deployment import (
    CHECKS,
    END_TO_END,
    OF_APPLICATIONS,
    OF_DJANGO,
)
from sessions_app.lifecycle.findings import Check, examine, in_words
from sessions_app.settings import RuntimeSettings

LEVEL_MARKS = {INFO: "✓", WARNING: "!", ERROR: "✗"}
LEVELS = {INFO: "ok", WARNING: "warning", ERROR: "wrong"}
ROUND_PAUSE = 1.0  # seconds between two rounds of checks


class Command(BaseCommand):
    """A command with exit status 1 after an error, but not after a warning."""

    help = "Check this deployment; say what is wrong and what to do."
    requires_system_checks = ()  # Django's checks run as part of OF_DJANGO

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="print one JSON object")
        parser.add_argument(
            "--end-to-end",
            action="store_true",
            help="also have a worker of each queue take work, and clean up after it",
        )
        parser.add_argument(
            "--wait",
            type=float,
            default=0,
            metavar="SECONDS",
            help="look again until nothing is wrong, for so long",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        more = END_TO_END if options["end_to_end"] else ()
        checks = [OF_DJANGO, *CHECKS, OF_APPLICATIONS, *more]
        until = time.monotonic() + options["wait"]
        findings = _run_checks(checks)
        while not _well(findings) and time.monotonic() < until:
            time.sleep(ROUND_PAUSE)
            findings = _run_checks(checks)
        self.stdout.write(_as_json(findings) if options["json"] else _as_text(findings))
        if not _well(findings):
            raise SystemExit(1)


def _run_checks(checks: list[Check]) -> list[CheckMessage]:
    return [finding for finding in examine(checks) if not finding.is_silenced()]


def _well(findings: list[CheckMessage]) -> bool:
    return all(finding.level < ERROR for finding in findings)


def _as_text(findings: list[CheckMessage]) -> str:
    return "\n".join(
        f"{LEVEL_MARKS[finding.level]} {finding.obj}: {in_words(finding)}" for finding in findings
    )


def _as_json(findings: list[CheckMessage]) -> str:
    rows = [
        {
            "check": finding.obj,
            "level": LEVELS[finding.level],
            "text": finding.msg,
            "todo": finding.hint or "",
        }
        for finding in findings
    ]
    form = "cluster" if RuntimeSettings.load().cluster else "local"
    return json.dumps({"form": form, "well": _well(findings), "findings": rows}, indent=2)

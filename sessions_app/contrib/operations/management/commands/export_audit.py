"""The command `manage.py export_audit`."""

from datetime import UTC, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from sessions_app.contrib.operations.audit_trail import FORMATS, entries


class Command(BaseCommand):
    """The export of the audit, for records and for a store that this server cannot write to."""

    help = "Print what happened to prompts, oldest first: by whom, when, from where."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--since", type=_time, metavar="TIME", help="such as 2026-01-31 (UTC)")
        parser.add_argument("--until", type=_time, metavar="TIME", help="only what was before it")
        parser.add_argument("--workflow", help="only of that workflow")
        parser.add_argument("--format", choices=FORMATS, default="jsonl")

    def handle(self, *args: object, **options: Any) -> None:
        selected = entries(options["since"], options["until"], options["workflow"])
        for text in FORMATS[options["format"]](selected):
            self.stdout.write(text, ending="")


def _time(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)

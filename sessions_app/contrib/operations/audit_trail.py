"""The audit in the form for people: on the page of a prompt, and as a file.

Assigned prompts have stored entries. Other prompts were shown to their owner only; their entries
are built from the prompts' rows, for as long as the rows are kept.
"""

import csv
import json
from collections.abc import Iterable, Iterator
from datetime import datetime
from heapq import merge
from io import StringIO
from typing import Any
from unicodedata import normalize

from django.db.models import QuerySet

from sessions_app.interactions import audit
from sessions_app.json_types import JsonObject
from sessions_app.models import AuditEntry, Interaction
from sessions_app.questions.question_view import QuestionView

ROWS_AT_ONCE = 1000
COLUMNS = (
    *("at", "action", "by", "by_name", "via", "address"),
    *("workflow", "question", "detail", "interaction", "run"),
)
# If a cell begins with one of these characters, a spreadsheet executes it as a formula.
FORMULA = tuple("=+-@\t\r\n")


def of_prompt(interaction: Interaction) -> list[AuditEntry]:
    """Return the audit entries of a prompt in order."""
    if QuestionView.of(interaction).assignment:
        entries = AuditEntry.objects.filter(interaction=interaction.pk)
        return list(entries.order_by("at", "pk"))
    settled = [] if interaction.answered_at is None else [_settled_entry(interaction)]
    return [audit.opened_entry(interaction), *settled]


def entries(
    since: datetime | None, until: datetime | None, workflow: str | None
) -> Iterator[AuditEntry]:
    """Yield the entries of a time range and a workflow in order of time, without loading all.

    `since` is included, `until` is not; None means no restriction.
    """

    def select(rows: "QuerySet[Any]", column: str, of: str) -> "QuerySet[Any]":
        wanted = {f"{column}__gte": since, f"{column}__lt": until, of: workflow}
        conditions = {lookup: value for lookup, value in wanted.items() if value is not None}
        return rows.filter(**conditions)

    unassigned = Interaction.objects.filter(assignment__isnull=True)
    unassigned = unassigned.select_related("run", "answered_by")
    settled = unassigned.filter(answered_at__isnull=False)
    opened_prompts = select(unassigned, "created_at", "run__workflow").order_by("created_at")
    settled_prompts = select(settled, "answered_at", "run__workflow").order_by("answered_at")
    stored = select(AuditEntry.objects.all(), "at", "workflow").order_by("at", "pk")
    return merge(
        stored.iterator(ROWS_AT_ONCE),
        map(audit.opened_entry, opened_prompts.iterator(ROWS_AT_ONCE)),
        map(_settled_entry, settled_prompts.iterator(ROWS_AT_ONCE)),
        key=lambda entry: entry.at,
    )


def as_json_lines(entries: Iterable[AuditEntry]) -> Iterator[str]:
    """Yield a JSON object for each entry, a line each."""
    for entry in entries:
        yield json.dumps(_values(entry), ensure_ascii=False) + "\n"


def as_csv(entries: Iterable[AuditEntry]) -> Iterator[str]:
    """Yield CSV: a header, and a line for each entry. A leading `'` keeps spreadsheets from running
    a cell.
    """
    line = StringIO()
    writer = csv.writer(line, quoting=csv.QUOTE_ALL)
    writer.writerow(COLUMNS)
    for entry in entries:
        values = _values(entry)
        values["detail"] = json.dumps(values["detail"], ensure_ascii=False)
        writer.writerow([_harmless(value) for value in values.values()])
        yield line.getvalue()
        line.seek(0)
        line.truncate()
    yield line.getvalue()


FORMATS = {"jsonl": as_json_lines, "csv": as_csv}


def _harmless(text: str) -> str:
    first = normalize("NFKC", text.lstrip(" ")[:1])  # full-width signs count as plain
    return f"'{text}" if first in FORMULA else text


def _values(entry: AuditEntry) -> JsonObject:
    values = {name: getattr(entry, name) for name in COLUMNS}
    ids = {name: str(values[name]) for name in ("interaction", "run")}
    return {**values, "at": entry.at.isoformat(), **ids}


def _settled_entry(interaction: Interaction) -> AuditEntry:
    entry, by = audit.opened_entry(interaction), interaction.answered_by
    entry.action, entry.at = interaction.status, interaction.answered_at or entry.at
    if by is not None:
        entry.by, entry.by_name = str(by.pk), by.get_username()
    entry.via, entry.detail = interaction.answered_via, {"response": interaction.response}
    return entry

"""Reads the history of a form: its rows, its diary, its processes, and its people's clients."""

from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from tests.cluster.checker.history import Audit, Entry, Event, History, Interaction, Note, Run
from tests.cluster.form import Form
from tests.cluster.people import Person

T = TypeVar("T")

CONVERSATIONS = """
    SELECT c.id, u.username || '/' || c.conversation_id AS name, c.last_sequence
    FROM sessions_app_conversation c JOIN auth_user u ON u.id = c.owner_id
    WHERE u.username IN {}
"""
EVENTS = """
    SELECT conversation_id AS conversation, run_id AS run, first_sequence AS first,
        sequence, type, payload
    FROM sessions_app_event WHERE conversation_id IN {} ORDER BY sequence, id
"""
RUNS = """
    SELECT id, conversation_id AS conversation, key, message_id, status
    FROM sessions_app_run WHERE conversation_id IN {}
"""
INTERACTIONS = """
    SELECT id, run_id AS run, position, status, response, answer_id
    FROM sessions_app_interaction WHERE conversation_id IN {}
"""
JOURNAL = """
    SELECT entry.run_id AS run, position, entry.kind, entry.result, entry.finished_at
    FROM sessions_app_journalentry entry JOIN sessions_app_run run ON run.id = entry.run_id
    WHERE run.conversation_id IN {}
"""
ASKED = """
    SELECT run_id AS run, position, 'ask' AS kind, response AS result, answered_at AS finished_at
    FROM sessions_app_interaction WHERE status <> 'cancelled' AND conversation_id IN {}
"""
AUDIT = """
    SELECT conversation, sequence, type, key, generation, holder, writer
    FROM audit WHERE conversation IN {} ORDER BY id
"""
IDS = ("id", "conversation", "run")


def history(form: Form, people: Sequence[Person], faults: int) -> History:
    conversations = _rows(form, CONVERSATIONS, {person.user for person in people})
    names = {row["id"]: row["name"] for row in conversations}

    def entry(finished_at: datetime | None, **fields: Any) -> Entry:
        at = form.true_time(finished_at.timestamp()) if finished_at else None
        return Entry(finished_at=at, **fields)

    def read(statement: str, make: Callable[..., T]) -> list[T]:
        rows = _rows(form, statement, [UUID(key).hex for key in names])
        return [make(**_named(row, names)) for row in rows]

    return History(
        last_sequences={row["name"]: row["last_sequence"] for row in conversations},
        events=read(EVENTS, Event),
        runs=read(RUNS, Run),
        interactions=read(INTERACTIONS, Interaction),
        journal=read(JOURNAL, entry) + read(ASKED, entry),
        audit=read(AUDIT, Audit) if form.audited else [],
        diary=diary(form),
        lives=[life for node in form.nodes for life in node.lives],
        sent=[sent for person in people for sent in person.sent],
        views=[view for person in people for view in person.views],
        faults=faults,
    )


def diary(form: Form) -> list[Note]:
    lines = form.diary.read_text().splitlines() if form.diary.exists() else []
    return list(_notes(form, lines))


def _notes(form: Form, lines: Iterable[str]) -> Iterable[Note]:
    for line in lines:
        kind, subject, pid, at = line.split()
        yield Note(kind, subject, int(pid), form.true_time(float(at)))


def _rows(form: Form, statement: str, among: Collection[str]) -> list[dict[str, Any]]:
    """Return the rows of a query, with ids as clients see them."""
    marks = f"({', '.join(['%s'] * len(among)) or 'NULL'})"
    return [
        {name: str(UUID(str(value))) if name in IDS else value for name, value in row.items()}
        for row in form.rows(statement.format(marks), *among)
    ]


def _named(row: dict[str, Any], names: dict[str, str]) -> dict[str, Any]:
    """Return the row, with the conversation under the name that people have for it."""
    if "conversation" in row:
        return {**row, "conversation": names[row["conversation"]]}
    return row

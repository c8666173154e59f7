"""Reads the history of a cluster: its rows, its diary, its processes, and its people's clients."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from tests.cluster.checker.history import Audit, Entry, Event, History, Interaction, Note, Run
from tests.cluster.cluster import Cluster
from tests.cluster.people import Person

T = TypeVar("T")

CONVERSATIONS = """
    SELECT c.id::text, u.username || '/' || c.conversation_id AS name, c.last_sequence
    FROM sessions_app_conversation c JOIN auth_user u ON u.id = c.owner_id
    WHERE u.username = ANY(%s)
"""
EVENTS = """
    SELECT conversation_id::text AS conversation, run_id::text AS run, first_sequence AS first,
        sequence, type, payload
    FROM sessions_app_event WHERE conversation_id::text = ANY(%s) ORDER BY sequence, id
"""
RUNS = """
    SELECT id::text, conversation_id::text AS conversation, key, message_id, status
    FROM sessions_app_run WHERE conversation_id::text = ANY(%s)
"""
INTERACTIONS = """
    SELECT id::text, run_id::text AS run, position, status, response, answer_id
    FROM sessions_app_interaction WHERE conversation_id::text = ANY(%s)
"""
JOURNAL = """
    SELECT entry.run_id::text AS run, position, entry.kind, entry.result,
        EXTRACT(EPOCH FROM entry.finished_at)::float AS finished_at
    FROM sessions_app_journalentry entry JOIN sessions_app_run run ON run.id = entry.run_id
    WHERE run.conversation_id::text = ANY(%s)
"""
AUDIT = """
    SELECT conversation::text, sequence, type, key, generation, holder, writer
    FROM audit WHERE conversation::text = ANY(%s) ORDER BY id
"""


def history(cluster: Cluster, people: Sequence[Person], faults: int) -> History:
    """All that concerns these people."""
    found = cluster.rows(CONVERSATIONS, sorted({person.user for person in people}))
    names = {row["id"]: row["name"] for row in found}

    def read(statement: str, make: Callable[..., T]) -> list[T]:
        rows = cluster.rows(statement, list(names))
        return [make(**_named(row, names)) for row in rows]

    return History(
        last_sequences={row["name"]: row["last_sequence"] for row in found},
        events=read(EVENTS, Event),
        runs=read(RUNS, Run),
        interactions=read(INTERACTIONS, Interaction),
        journal=read(JOURNAL, Entry),
        audit=read(AUDIT, Audit),
        diary=diary(cluster),
        lives=[life for node in cluster.nodes for life in node.lives],
        sent=[sent for person in people for sent in person.sent],
        views=[view for person in people for view in person.views],
        faults=faults,
    )


def diary(cluster: Cluster) -> list[Note]:
    """What the probes have noted so far."""
    lines = cluster.diary.read_text().splitlines() if cluster.diary.exists() else []
    return list(_notes(lines))


def _notes(lines: Iterable[str]) -> Iterable[Note]:
    for line in lines:
        what, subject, pid, at = line.split()
        yield Note(what, subject, int(pid), float(at))


def _named(row: dict[str, Any], names: dict[str, str]) -> dict[str, Any]:
    """The row, with the conversation under the name that people have for it."""
    if "conversation" in row:
        return {**row, "conversation": names[row["conversation"]]}
    return row

"""Folding: when a run ends, its text events become one message event per unbroken stretch."""

from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any

from sessions_app.event_log import sql
from sessions_app.models import Event, Run

TEXTS = """
    SELECT sequence, payload, created_at FROM sessions_app_event
    WHERE run_id = %s AND type = 'text' ORDER BY sequence
"""
RESTARTS = """
    SELECT sequence, payload FROM sessions_app_event
    WHERE run_id = %s AND type = 'restart' ORDER BY sequence
"""
DELETE_TEXTS = "DELETE FROM sessions_app_event WHERE run_id = %s AND type = 'text'"


@dataclass(frozen=True, slots=True)
class _Text:
    sequence: int
    text: str
    created_at: datetime | None
    # A restart took it back: who reads the log from now on is not to see it.
    taken_back: bool


def fold(run: Run) -> None:
    """Inside the transaction that ends the run. A message spans the sequences of its texts."""
    taken_back = [
        range(sql.read_json(payload)["from_sequence"], sequence)
        for sequence, payload in sql.fetch(RESTARTS, (run.id,))
    ]
    texts = [
        _Text(
            sequence,
            sql.read_json(payload)["text"],
            sql.read_time(at),
            any(sequence in taken for taken in taken_back),
        )
        for sequence, payload, at in sql.fetch(TEXTS, (run.id,))
    ]
    if not texts:
        return
    sql.execute(DELETE_TEXTS, (run.id,))
    for part in _stretches(texts):
        sql.insert(Event, conversation_id=run.conversation_id, run_id=run.id, **_message(part))


def _stretches(texts: list[_Text]) -> list[list[_Text]]:
    parts = [[texts[0]]]
    for before, text in pairwise(texts):
        follows = text.sequence == before.sequence + 1
        if follows and text.taken_back == before.taken_back:
            parts[-1].append(text)
        else:
            parts.append([text])
    return parts


def _message(part: list[_Text]) -> dict[str, Any]:
    whole = "".join(text.text for text in part)
    if part[0].taken_back:
        payload = {"text": "", "lengths": [0] * len(part), "taken_back": whole}
    else:
        payload = {"text": whole, "lengths": [len(text.text) for text in part]}
    return {
        "first_sequence": part[0].sequence,
        "sequence": part[-1].sequence,
        "type": Event.Type.MESSAGE.value,
        "payload": payload,
        "created_at": part[-1].created_at,
    }

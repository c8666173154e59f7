"""The two statements that every event costs, written by hand: the ORM takes ten times their time.

Portable between SQLite and PostgreSQL; values go through the field types of the models.
"""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection

TAKE_SEQUENCE = """
    UPDATE sessions_app_conversation SET last_sequence = last_sequence + 1, updated_at = %s
    WHERE id = %s RETURNING last_sequence
"""
INSERT_EVENT = """
    INSERT INTO sessions_app_event
        (conversation_id, run_id, first_sequence, sequence, type, payload, created_at)
    VALUES (%s, %s, %s, %s, %s, %s, %s)
"""


def uuid_value(value: UUID) -> Any:
    """The UUID as the database in use stores it."""
    return value if connection.features.has_native_uuid_field else value.hex


def time_value(value: datetime) -> Any:
    """The aware datetime as the database in use stores it."""
    return connection.ops.adapt_datetimefield_value(value)


def execute(statement: str, params: Sequence[Any]) -> None:
    """Run one statement on this thread's connection."""
    with connection.cursor() as cursor:
        cursor.execute(statement, params)


def fetch_one(statement: str, params: Sequence[Any]) -> tuple[Any, ...] | None:
    """Run one statement and return its first row, if any."""
    with connection.cursor() as cursor:
        cursor.execute(statement, params)
        row: tuple[Any, ...] | None = cursor.fetchone()
        return row


def dump(payload: dict[str, Any]) -> str:
    """JSON as Django's JSONField writes it."""
    return json.dumps(payload)

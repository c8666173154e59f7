"""The published schema is that of the code; `conftest.Conforming` holds real frames to it."""

import io
import json
from typing import Any

import pytest
from django.core.management import call_command
from jsonschema import Draft202012Validator, ValidationError

from chat_app.wire.client_messages import MESSAGES
from tests.wire.conformance.conftest import CLIENT_MESSAGE, SCHEMA, SERVER_MESSAGE


def test_the_published_schema_is_what_the_command_prints() -> None:
    printed = io.StringIO()
    call_command("protocol_schema", stdout=printed)
    assert json.loads(printed.getvalue()) == SCHEMA, (
        "run: python manage.py protocol_schema > docs/protocol.schema.json"
    )
    Draft202012Validator.check_schema(SCHEMA)


def test_the_schema_has_every_client_message() -> None:
    types = {
        branch["properties"]["type"]["const"]
        for branch in SCHEMA["$defs"]["ClientMessage"]["oneOf"]
    }
    assert types == set(MESSAGES)


@pytest.mark.parametrize(
    ("message", "valid"),
    [
        ({"type": "ping_message", "more": 1}, True),
        ({"type": "user_message", "content": "x"}, True),
        ({"type": "user_message", "content": {"messages": [{"content": "x"}]}}, True),
        ({"type": "user_message"}, False),
        ({"type": "user_message", "content": 7}, False),
        ({"type": "ack_message", "sequence": -1}, False),
        ({"type": "auth_message", "payload": {"method": "magic"}}, False),
        ({"type": "pong_message"}, False),
        ({}, False),
    ],
)
def test_the_schema_rejects_invalid_messages(message: dict[str, Any], valid: bool) -> None:
    assert CLIENT_MESSAGE.is_valid(message) is valid


def test_the_schema_allows_no_extra_server_fields() -> None:
    pong = {
        "type": "pong_message",
        "id": "1",
        "thread_id": "1",
        "parent_id": None,
        "conversation_id": None,
        "status": "complete",
        "timestamp": "2026-01-13T10:00:03.250Z",
        "for": None,
    }
    SERVER_MESSAGE.validate(pong)
    with pytest.raises(ValidationError):
        SERVER_MESSAGE.validate({**pong, "more": 1})

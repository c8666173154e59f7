"""Clients that hold every frame to the published schema."""

import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest
from jsonschema import Draft202012Validator

from tests.support.received_frames import Frame
from tests.support.server import ROOT, Server
from tests.support.websocket import WsClient

SCHEMA = json.loads((ROOT / "docs" / "protocol.schema.json").read_text())
SERVER_MESSAGE = Draft202012Validator({**SCHEMA, "oneOf": [{"$ref": "#/$defs/ServerMessage"}]})
CLIENT_MESSAGE = Draft202012Validator({**SCHEMA, "oneOf": [{"$ref": "#/$defs/ClientMessage"}]})


class Conforming(WsClient):
    """A client that fails where a frame is not what docs/protocol.schema.json says."""

    async def __aexit__(self, *error: Any) -> None:
        """Close, and look at all frames."""
        await super().__aexit__(*error)
        for frame in self.frames:
            SERVER_MESSAGE.validate(frame)

    async def result(self) -> str:
        await self.until_ended()
        return self.text()


def as_plain(type_: str, text: Any, **fields: Any) -> Frame:
    """Return a frame as a plain client sends it, which names no conversation."""
    content = {"messages": [{"role": "user", "content": [{"type": "text", "text": text}]}]}
    frame = {"type": type_, "content": content, **fields}
    CLIENT_MESSAGE.validate(frame)
    return frame


def answer(text: Any, **fields: Any) -> Frame:
    return as_plain("user_interaction_message", text, **fields)


@pytest.fixture
async def client(shared: Server) -> AsyncIterator[Conforming]:
    async with Conforming(shared, uuid4().hex, workflow="probe") as client:
        yield client

"""Clients that hold every frame to the published schema."""

import json
from typing import Any
from uuid import uuid4

import pytest
from jsonschema import Draft202012Validator

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

    async def ended(self) -> dict[str, Any]:
        """Wait until the run is over; return its last update."""
        return await self.until(
            lambda frame: frame["type"] == "run_update_message" and frame["status"] == "complete"
        )


@pytest.fixture
def client(shared: Server) -> Conforming:
    """A client of `ann` on a new conversation, which runs the probe workflow."""
    return Conforming(shared, uuid4().hex, workflow="probe")

"""Messages between processes that tell a worker at once that one of its hosts has work."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sessions_app.notify.groups import LayerMessage
from sessions_app.storage.records import InteractionSettled

WAKE = "host.wake"


def worker_group(worker: str) -> str:
    """Return the name of a worker's group, in the characters and length that layers permit."""
    return f"worker.{worker.replace(':', '.')}"[:99]


def wake_message(key: str, settlement: InteractionSettled | None) -> LayerMessage:
    """Build a message that wakes the key's host."""
    return {"type": WAKE, "key": key, "settled": settlement and _pack(settlement)}


def read_wake(message: LayerMessage) -> tuple[str, InteractionSettled | None]:
    """Return the key of the host that a message wakes, and a settled interaction, if any."""
    columns = message["settled"]
    return message["key"], columns and _unpack(*columns)


def _pack(one: InteractionSettled) -> list[object]:
    ids = (one.run.hex, one.interaction.hex)
    return [*ids, one.status, one.response, one.by, one.at.isoformat()]


def _unpack(run: str, interaction: str, *rest: Any) -> InteractionSettled:
    status, response, by, at = rest
    return InteractionSettled(
        UUID(run), UUID(interaction), status, response, by, datetime.fromisoformat(at)
    )

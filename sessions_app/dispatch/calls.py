"""Calls between processes: a worker is told at once that a key which it hosts has work."""

from dataclasses import astuple
from datetime import datetime
from typing import Any
from uuid import UUID

from sessions_app.event_log import InteractionSettled
from sessions_app.notify import Message

WAKE = "host.wake"


def group_of(worker: str) -> str:
    """The group that the worker listens to; channel layers take few characters."""
    return f"worker.{worker.replace(':', '.')}"[:99]


def wake(key: str, settled: InteractionSettled | None) -> Message:
    """A message that wakes the key's host."""
    return {"type": WAKE, "key": key, "settled": settled and _pack(settled)}


def read(message: Message) -> tuple[str, InteractionSettled | None]:
    """The key that a message is about, and what was settled."""
    packed = message["settled"]
    return message["key"], packed and _unpack(*packed)


def _pack(settled: InteractionSettled) -> list[Any]:
    run, interaction, status, response, by, at = astuple(settled)
    return [run.hex, interaction.hex, status, response, by, at.isoformat()]


def _unpack(run: str, interaction: str, *rest: Any) -> InteractionSettled:
    status, response, by, at = rest
    return InteractionSettled(
        UUID(run), UUID(interaction), status, response, by, datetime.fromisoformat(at)
    )

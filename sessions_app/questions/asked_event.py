"""A question as read from the event log, for delivery without a query for the question's row."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple, Self

from sessions_app.json_types import JsonObject
from sessions_app.prompts import AnyPrompt, type_of


class AskedEvent(NamedTuple):
    """A question at the time of asking; `to` names the candidates, none if it is for the owner."""

    interaction: str
    content: JsonObject
    version: int
    expires_at: datetime | None
    to: Sequence[str]

    @classmethod
    def of(cls, payload: JsonObject) -> Self:
        """Build the question from the payload of its `interaction` or `assignment` event."""
        at = payload["expires_at"]
        expires_at = datetime.fromisoformat(at) if at else None
        names = payload.get("to", ())
        return cls(
            payload["interaction_id"], payload["prompt"], payload["version"], expires_at, names
        )

    @property
    def text(self) -> str:
        """The whole text of the question."""
        return str(self.content["text"])

    @property
    def names(self) -> str:
        """The names of the candidates on one line."""
        return ", ".join(self.to)

    @property
    def type(self) -> type[AnyPrompt]:
        """The type of the prompt."""
        return type_of(self.content["input_type"])

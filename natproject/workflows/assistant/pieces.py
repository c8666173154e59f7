"""What a model gives while it answers, and what a model is."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

from sessions_app.json_types import JsonObject
from sessions_app.workflows import Reasoning

# In the form of OpenAI's chat completions, which most servers of models take.
ModelMessage = JsonObject


@dataclass(frozen=True, slots=True)
class ToolCall:
    """What the model wants done; `arguments` is JSON, as far as a model writes it correctly."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens that an answer took and gave."""

    prompt_tokens: int
    completion_tokens: int


Piece = str | Reasoning | ToolCall | Usage


class Model(Protocol):
    """Answers to the messages so far."""

    def stream(self, messages: list[ModelMessage]) -> AsyncIterator[Piece]:
        """The answer as it comes: text and thoughts in pieces, each tool call whole."""

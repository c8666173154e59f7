"""The pieces of a model's answer, and the interface of a model."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

from sessions_app.json_types import JsonObject
from sessions_app.workflows import Reasoning

# In the form of OpenAI's chat completions, which most servers of models take.
ModelMessage = JsonObject


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call of a tool that the model wants; `arguments` is JSON if the model writes it
    correctly.
    """

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Usage:
    """The tokens that an answer took and gave."""

    prompt_tokens: int
    completion_tokens: int


Piece = str | Reasoning | ToolCall | Usage


class Model(Protocol):
    """A language model, which answers to the messages so far."""

    def stream(self, messages: list[ModelMessage]) -> AsyncIterator[Piece]:
        """Stream the answer: text and thoughts in pieces, each tool call as a whole."""

"""A model for tests, whose answers are written down beforehand."""

from collections.abc import AsyncGenerator, Sequence
from itertools import takewhile

from pydantic_core import to_json

from sessions_app.contrib.agents.language_model import ModelMessage, Piece, ToolCall
from sessions_app.json_types import JsonObject

# An answer: a text, or its pieces.
Turn = str | Sequence[Piece]


class ScriptedModel:
    """A model that gives one answer after another.

    Which one it gives follows from how often the model has answered since the person's message, so
    that it gives the same one again after a crash. `requests` are the messages of each request.
    """

    def __init__(self, *turns: Turn) -> None:
        self.turns = turns
        self.requests: list[list[ModelMessage]] = []

    async def stream(
        self, messages: Sequence[ModelMessage], tools: Sequence[JsonObject]
    ) -> AsyncGenerator[Piece, None]:
        """Stream the next answer, as of `Model`.

        Raises:
            AssertionError: it was asked more often than it has answers.
        """
        self.requests.append(list(messages))
        since = takewhile(lambda message: message["role"] != "user", reversed(messages))
        number = sum(message["role"] == "assistant" for message in since)
        if number >= len(self.turns):
            last = messages[-1]["content"]
            raise AssertionError(
                f"the model has {len(self.turns)} answers and was asked once more, after {last!r}"
            )
        turn = self.turns[number]
        for piece in [turn] if isinstance(turn, str) else turn:
            yield piece


def tool_call(tool: str, /, **arguments: object) -> ToolCall:
    """Make a call of a tool, as a piece of an answer."""
    written = to_json(arguments).decode()
    return ToolCall(f"{tool}-{written}", tool, written)

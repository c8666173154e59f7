"""A model for tests, with answers that the test defines."""

from collections.abc import AsyncGenerator, Sequence
from itertools import takewhile

from pydantic_core import to_json

from sessions_app.contrib.agents.language_model import ModelMessage, Piece, ToolCall
from sessions_app.json_types import JsonObject

# An answer of the scripted model: a text, or its pieces.
Turn = str | Sequence[Piece]


class ScriptedModel:
    """A model that gives the defined answers in order.

    The next answer is selected by the number of answers since the person's message, so that a
    request repeated after a crash gets the same answer. `requests` has each request's messages.
    """

    def __init__(self, *turns: Turn) -> None:
        self.turns = turns
        self.requests: list[list[ModelMessage]] = []

    async def stream(
        self, messages: Sequence[ModelMessage], tools: Sequence[JsonObject]
    ) -> AsyncGenerator[Piece, None]:
        """Stream the next answer, as for `LanguageModel`.

        Raises:
            AssertionError: there are more requests than answers.
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
    """Build a tool call, as a piece of an answer."""
    written = to_json(arguments).decode()
    return ToolCall(f"{tool}-{written}", tool, written)

"""The interface of a language model, the pieces of its answer, and how texts follow another."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from sessions_app.errors import StepFailed
from sessions_app.json_types import JsonObject
from sessions_app.workflows import Reasoning

# In the form of OpenAI's chat completions, which most servers of models take.
ModelMessage = JsonObject


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A tool call that the model wants; `arguments` is JSON, if the model writes it correctly.

    The result goes back under the `id`. `fields` are further ones of the call in its server's own
    form, such as a signature: they go back with it.
    """

    id: str
    name: str
    arguments: str
    fields: JsonObject = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AnswerFields:
    """The further fields of an answer in its server's own form: they go back with its tool calls.

    `thoughts` is the name of the field that gave the pieces of `Reasoning`; "" if none has to go
    back.
    """

    fields: JsonObject
    thoughts: str = ""


@dataclass(frozen=True, slots=True)
class Usage:
    """The tokens that an answer took and gave."""

    prompt_tokens: int
    completion_tokens: int


Piece = str | Reasoning | ToolCall | AnswerFields | Usage


class AnswerCut(Exception):
    """The answer of the model broke off: the server did not say that it was finished."""

    def __init__(self) -> None:
        super().__init__((type(self).__doc__ or "").strip())


class Model(Protocol):
    """A language model, which answers the messages so far."""

    def stream(
        self, messages: Sequence[ModelMessage], tools: Sequence[JsonObject]
    ) -> AsyncGenerator[Piece, None]:
        """Stream the answer: text and thoughts in pieces, each tool call as a whole.

        Of several `Usage` the last one counts. An answer that is not whole raises.

        Args:
            messages: the conversation, in the form of OpenAI's chat completions.
            tools: the description of each tool, in that form.
        """


def behind(text: str, *, apart: bool) -> str:
    """Return a text for people, apart from what they have read before."""
    return f"\n\n{text}" if apart else text


def no_answer(error: StepFailed, *, apart: bool) -> str:
    """Say to people that the model cannot be asked; `apart` is as of `behind`."""
    return behind(f"The model cannot be asked ({error.error_type}). Try again later.", apart=apart)

"""The interface of a language model, the pieces of its answer, and separators between texts."""

from collections.abc import AsyncGenerator, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from sessions_app.errors import StepFailed
from sessions_app.json_types import JsonObject
from sessions_app.workflows import AttachedFile, Reasoning

# A message in the format of OpenAI's chat completions, which most model servers accept.
ModelMessage = JsonObject


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A tool call that a model requests; `arguments` is JSON, if the model writes it correctly.

    The result refers to the `id`. `fields` are further fields of the call in the server's own form,
    such as a signature; they are sent back with the call.
    """

    id: str
    name: str
    arguments: str
    fields: JsonObject = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AnswerFields:
    """Further fields of an answer in the server's own form, sent back with its tool calls.

    `thoughts` is the name of the field for `Reasoning` pieces, or "" if that is not sent back.
    """

    fields: JsonObject
    thoughts: str = ""


@dataclass(frozen=True, slots=True)
class Usage:
    """The token counts of an answer: prompt and completion."""

    prompt_tokens: int
    completion_tokens: int


@dataclass(frozen=True, slots=True)
class Ending:
    """The reason why an answer ended early, as the server names it, such as `length`."""

    reason: str


Piece = str | Reasoning | ToolCall | AnswerFields | Usage | Ending


class AnswerCut(Exception):
    """The answer of the model broke off: the server did not say that it was finished."""

    def __init__(self) -> None:
        super().__init__((type(self).__doc__ or "").strip())


class LanguageModel(Protocol):
    """The protocol of a language model, which continues a conversation."""

    def stream(
        self, messages: Sequence[ModelMessage], tools: Sequence[JsonObject]
    ) -> AsyncGenerator[Piece, None]:
        """Stream the answer: text and thoughts in pieces, each tool call as a whole.

        Of several `Usage` pieces the last one counts. An incomplete answer raises an error.

        Args:
            messages: the conversation, in the form of OpenAI's chat completions.
            tools: the description of each tool, in the same form.
        """


def with_separator(text: str, *, apart: bool) -> str:
    """Return a text for people; if `apart`, after a blank line, as other text precedes."""
    return f"\n\n{text}" if apart else text


def with_files(text: str, files: Iterable[AttachedFile]) -> str:
    """Return a person's message for a model, which reads of attached files what they are."""
    attached = [
        f"[Attached file: {one.name}, {one.content_type}, {one.size:,} bytes]" for one in files
    ]
    return "\n\n".join(filter(None, [text, "\n".join(attached)]))


def no_answer(error: StepFailed, *, apart: bool) -> str:
    """Return a message that the model cannot be asked; for `apart`, see `with_separator`."""
    return with_separator(
        f"The model cannot be asked ({error.error_type}). Try again later.", apart=apart
    )

"""The prompts that a client was sent last, by which its short answers are checked at once.

Such a check takes 20 to 300 µs, so it needs no thread, and no read. It knows only what the client
was sent: whether the person may answer, and whether the prompt has changed, is for the transaction.
"""

from typing import NamedTuple

from sessions_app.json_types import JsonObject
from sessions_app.prompts import (
    Answer,
    BinaryPrompt,
    DropdownPrompt,
    JsonAnswer,
    PageAnswer,
    RadioPrompt,
    TextAnswer,
    TextPrompt,
    type_of,
)

# The types of prompts that check a short answer quickly. A subclass may check differently.
QUICK_TYPES = frozenset({BinaryPrompt, DropdownPrompt, RadioPrompt, TextPrompt})
# Maximum number of options of such a prompt: each takes about 30 µs.
MAX_OPTIONS = 10
# Maximum number of characters of an answer that is checked at once.
MAX_LENGTH = 1000
# Maximum number of bytes, as sent, of all prompts that are kept for one client's conversation.
MAX_BYTES = 8192


class SentPrompt(NamedTuple):
    """A prompt as stored, and the number of bytes in which it was sent."""

    version: int
    content: JsonObject
    size: int


class SentPrompts:
    """The last prompts of one conversation that one client was sent, by id, in order of sending."""

    def __init__(self) -> None:
        self._prompts: dict[str, SentPrompt] = {}

    def keep(self, interaction: str, prompt: SentPrompt) -> None:
        """Keep the prompt if it checks answers quickly; forget the oldest ones beyond the limit."""
        self.forget(interaction)
        type_, options = type_of(prompt.content["input_type"]), prompt.content.get("options", ())
        if type_ not in QUICK_TYPES or len(options) > MAX_OPTIONS:
            return
        self._prompts[interaction] = prompt
        while sum(kept.size for kept in self._prompts.values()) > MAX_BYTES:
            self.forget(next(iter(self._prompts)))

    def forget(self, interaction: str) -> None:
        """Forget a prompt, which may be unknown."""
        self._prompts.pop(interaction, None)

    def find(self, interaction: str, answer: Answer) -> SentPrompt | None:
        """Return the prompt if it can check this answer at once."""
        return self._prompts.get(interaction) if _is_short(answer) else None


def _is_short(answer: Answer) -> bool:
    """Return whether the answer is one short text, without a note, fields and files."""
    match answer:
        case TextAnswer(text) | JsonAnswer(str() as text) | JsonAnswer([str() as text]):
            return len(text) <= MAX_LENGTH
        case PageAnswer([text], "") if not answer.fields and not answer.files:
            return len(text) <= MAX_LENGTH
    return False

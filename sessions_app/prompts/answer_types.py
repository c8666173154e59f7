"""The types of answers, one for each kind of door. A prompt reads each in a method of its own.

No prompt guesses the door from the shape of an answer.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Self

from django.utils.translation import gettext_lazy as _
from pydantic import JsonValue
from pydantic_core import to_jsonable_python

from sessions_app.errors import Invalid
from sessions_app.models import Attachment

# Files that come with the form of a page, by field; they are kept before.
Files = Mapping[str, Attachment]


@dataclass(frozen=True, slots=True)
class TextAnswer:
    """A text: all that a plain client can send. It may name an option."""

    text: str
    files: ClassVar[Files] = {}


@dataclass(frozen=True, slots=True)
class JsonAnswer:
    """A JSON value of a program, in the form that docs/protocol.md shows for the type of prompt."""

    value: JsonValue
    files: ClassVar[Files] = {}

    @classmethod
    def of(cls, value: object) -> Self:
        """Make an answer of a Python value; dates, decimals and the like become their texts.

        Raises:
            Invalid: it has half of a surrogate pair.
        """
        try:
            return cls(to_jsonable_python(value))
        except UnicodeEncodeError:
            raise Invalid(_("The answer contains a character that cannot be stored.")) from None


@dataclass(frozen=True, slots=True)
class PageAnswer:
    """The form of a card, as a browser sends it.

    `values` are those of the pressed button, the chosen options or the text; `note` is the note
    beside an option. `fields` has the texts of a prompt's own form, by the name of the field.
    """

    values: Sequence[str] = ()
    note: str = ""
    fields: Mapping[str, list[str]] = field(default_factory=dict)
    files: Files = field(default_factory=dict)

    @property
    def value(self) -> str:
        """The only value.

        Raises:
            Invalid: there is none, or there are several.
        """
        if len(self.values) != 1:
            raise Invalid(_("Choose one of the answers that the card offers."))
        return self.values[0]

    @property
    def text(self) -> str:
        """A text of all that was chosen and typed."""
        typed = {name: ", ".join(texts) for name, texts in self.fields.items()}
        fields = (f"{name}: {text}".removeprefix("_note: ") for name, text in typed.items() if text)
        chosen = ", ".join(filter(None, [*self.values, self.note]))
        return "; ".join(filter(None, [chosen, *fields]))


Answer = TextAnswer | JsonAnswer | PageAnswer

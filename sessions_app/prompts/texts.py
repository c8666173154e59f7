"""The prompts that a person answers by a text, or merely by seeing them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from django import forms
from django.utils.text import format_lazy
from django.utils.translation import pgettext, pgettext_lazy
from pydantic import Field

from sessions_app.errors import Invalid
from sessions_app.json_types import JsonObject
from sessions_app.prompts.base import Answer, Content, Prompt, Response
from sessions_app.storage.storable import check_storable


def plain_text(content: Content, text: str, *, placeholder: str, required: bool) -> Content:
    """Build the text prompt that replaces a prompt which a plain client cannot show."""
    fields = {"input_type": "text", "text": text, "placeholder": placeholder, "required": required}
    return {**_in_common(content), **fields}


def plain_choice(
    content: Content, text: str, labels: Mapping[str, str], input_type: str = "radio"
) -> Content:
    """Build the choice that replaces a prompt which a plain client cannot show; labels by value."""
    options = [{"id": value, "label": label, "value": value} for value, label in labels.items()]
    return {**_in_common(content), "input_type": input_type, "text": text, "options": options}


def _in_common(content: Content) -> Content:
    """Return the fields of a prompt that its replacement takes over."""
    return {name: content[name] for name in ("timeout", "error") if name in content}


@dataclass(frozen=True, slots=True)
class TextResponse(Response):
    """The response to a text prompt; `value` is the text."""

    value: str

    @property
    def text(self) -> str:
        """The text as typed."""
        return self.value


@dataclass(frozen=True, slots=True)
class NotificationResponse(Response):
    """The confirmation that a note was seen; `value` is "ok"."""

    value: str


class TextPrompt(Prompt[TextResponse]):
    """A prompt for free text."""

    input_type: Literal["text"] = "text"
    placeholder: str = ""
    required: bool = True
    max_length: int = Field(default=10_000, ge=1, le=100_000)
    default: str | None = None
    response = TextResponse

    @property
    def is_required(self) -> bool:
        return self.required

    def field(self) -> forms.Field:
        widget = forms.Textarea(attrs={"placeholder": self.placeholder})
        return forms.CharField(widget=widget, required=False, strip=False)

    def from_text(self, text: str) -> JsonObject:
        check_storable(pgettext_lazy("hitl", "The answer"), text)
        if self.required and not text.strip():
            raise Invalid(pgettext_lazy("hitl", "This prompt needs an answer; it is empty."))
        if len(text) > self.max_length:
            raise Invalid(
                format_lazy(
                    pgettext_lazy(
                        "hitl", "The answer has {length} characters; this prompt allows {most}."
                    ),
                    length=f"{len(text):,}",
                    most=f"{self.max_length:,}",
                ),
                max_length=self.max_length,
            )
        return {"value": text}


class NotificationPrompt(Prompt[NotificationResponse]):
    """A note that the workflow continues after, once it was seen."""

    input_type: Literal["notification"] = "notification"
    default: Literal["ok"] | None = None

    takes = pgettext_lazy("hitl", "that it was seen")
    response = NotificationResponse
    acts = can_agree = is_seen = True

    def check(self, answer: Answer) -> JsonObject:
        return self.from_text("ok")

    def from_text(self, text: str) -> JsonObject:
        return {"value": "ok"}

    def answer_text(self, stored: JsonObject) -> str:
        return pgettext("hitl", "Seen")

    def field(self) -> forms.Field:
        return forms.CharField(widget=forms.HiddenInput, initial="ok")

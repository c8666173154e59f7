"""Prompts that are answered by a text, or by that they were seen."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlsplit

from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _
from pydantic import Field, field_validator

from sessions_app.errors import Invalid
from sessions_app.prompts.base import Given, Prompt, Response, as_text


@dataclass(frozen=True, slots=True)
class TextResponse(Response):
    """`value` is the text."""

    @property
    def text(self) -> str:
        """The text as typed."""
        return str(self.value)


@dataclass(frozen=True, slots=True)
class NotificationResponse(Response):
    """The note was seen; `value` is "ok"."""


@dataclass(frozen=True, slots=True)
class ConsentResponse(Response):
    """The person says what came of signing in elsewhere; whether it is true, the provider knows."""

    @property
    def granted(self) -> bool:
        """Whether they say that they have signed in and agreed."""
        return bool(self.value == "done")


class TextPrompt(Prompt[TextResponse]):
    """Asks for free text."""

    input_type: Literal["text"] = "text"
    placeholder: str = ""
    required: bool = True
    max_length: int = Field(default=10_000, ge=1, le=100_000)
    default: str | None = None

    def check(self, value: Given | None, values: Sequence[Given] | None) -> dict[str, Any]:
        text = "\n".join(map(as_text, (values or []) if value is None else [value]))
        if self.required and not text.strip():
            raise Invalid(_("This prompt needs an answer; it is empty."))
        if len(text) > self.max_length:
            raise Invalid(
                format_lazy(
                    _("The answer has {length} characters; this prompt takes {most}."),
                    length=f"{len(text):,}",
                    most=f"{self.max_length:,}",
                ),
                max_length=self.max_length,
            )
        return {"value": text}

    def respond(self, stored: dict[str, Any], **who: Any) -> TextResponse:
        return TextResponse(value=stored["value"], **who)


class NotificationPrompt(Prompt[NotificationResponse]):
    """Shows a note, and goes on when it was seen."""

    input_type: Literal["notification"] = "notification"
    default: Literal["ok"] | None = None

    def check(self, value: Given | None, values: Sequence[Given] | None) -> dict[str, Any]:
        return {"value": "ok"}

    def respond(self, stored: dict[str, Any], **who: Any) -> NotificationResponse:
        return NotificationResponse(value="ok", **who)


class OAuthPrompt(Prompt[ConsentResponse]):
    """Asks to sign in elsewhere and to agree there. `text` is the URL to go to; it begins with
    http:// or https://. `details` may say what for.
    """

    input_type: Literal["oauth_consent"] = "oauth_consent"
    default: Literal["declined"] | None = None

    @property
    def host(self) -> str:
        """Where the link leads: a person must see it before they follow it."""
        return urlsplit(self.text).netloc

    @field_validator("text")
    @classmethod
    def _leads_somewhere(cls, url: str) -> str:
        found = urlsplit(url)
        if found.scheme not in ("http", "https") or not found.hostname:
            raise ValueError("the text of an OAuthPrompt is a URL with http:// or https://")
        if "@" in found.netloc or not url.isascii() or not url.isprintable() or " " in url:
            raise ValueError("the URL has a user name, or characters that must be encoded")
        return url

    def check(self, value: Given | None, values: Sequence[Given] | None) -> dict[str, Any]:
        return {"value": "declined" if value == "declined" else "done"}

    def respond(self, stored: dict[str, Any], **who: Any) -> ConsentResponse:
        return ConsentResponse(value=stored["value"], **who)

"""The prompts that lead a person to a page of another site."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import ClassVar, Literal
from urllib.parse import parse_qs, urlsplit

from django.utils.text import format_lazy
from django.utils.translation import pgettext, pgettext_lazy
from pydantic import BaseModel, ConfigDict, Field, field_validator

from sessions_app.errors import Invalid
from sessions_app.json_types import JsonObject
from sessions_app.prompts.base import (
    Content,
    Prompt,
    Response,
    details_line,
    is_none,
    with_details,
)
from sessions_app.prompts.texts import plain_choice

# Accept only hosts that all parsers read alike. Browsers decode and repair other forms, and may
# then open a different host from the one shown to people.
_WEB_ADDRESS = re.compile(
    r"https?://(?P<host>[a-z0-9_-]+(?:\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\])(?::(?P<port>[1-9]\d{0,4}))?"
    r"(?:[/?#]|\Z)",
    re.IGNORECASE | re.ASCII,
)
_NUMBER = re.compile(r"\d+|0x[0-9a-f]*", re.IGNORECASE | re.ASCII)
LAST_PORT = 65_535


def _checked_url(url: str) -> str:
    """Return a URL, if people and all browsers read the same host from it.

    Raises:
        ValueError: the URL is not of that kind.
    """
    if not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        raise ValueError("the URL has a backslash, or characters that must be encoded")
    match = _WEB_ADDRESS.match(url)
    if match is None or int(match["port"] or 1) > LAST_PORT or not _is_plain_host(match["host"]):
        raise ValueError(
            "it must be a URL such as https://shop.example:8443/pay: http:// or https://, then "
            "a host in letters, digits, dots and hyphens, or an address, and no user name"
        )
    return url


def _is_plain_host(host: str) -> bool:
    """Return whether browsers take a host literally, not as a number or another address form."""
    try:
        if host.startswith("["):
            return bool(IPv6Address(host[1:-1]))
        # Browsers read a host whose last part is a number, in any notation, as an IPv4 address.
        return not _NUMBER.fullmatch(host.rpartition(".")[2]) or str(IPv4Address(host)) == host
    except ValueError:
        return False


@dataclass(frozen=True, slots=True)
class ConsentResponse(Response):
    """A person's statement about a task on another site, which only that site can confirm."""

    value: str

    @property
    def granted(self) -> bool:
        """True if the person claims to have signed in and agreed, or to have done the task."""
        return bool(self.value == _ElsewherePrompt.DONE)


class ConsentRequest(BaseModel):
    """A request to a person to let this site act for them at a provider; `title` is for people."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    provider: str
    title: str
    scopes: list[str]


class _ElsewherePrompt(Prompt[ConsentResponse]):
    """A prompt whose answer says that a task on another page was done, or was declined."""

    DONE: ClassVar = "done"
    DECLINED: ClassVar = "declined"

    response = ConsentResponse
    acts = True
    alike = False

    @property
    def address(self) -> str:
        """The address of the page elsewhere."""
        raise NotImplementedError

    @property
    def host(self) -> str:
        """The host of the link, shown to a person before following the link."""
        return urlsplit(self.address).netloc

    def from_text(self, text: str) -> JsonObject:
        if text not in (self.DONE, self.DECLINED):
            raise Invalid(pgettext_lazy("hitl", "Answer “done” when it is done, or “declined”."))
        return {"value": text}

    def answer_text(self, stored: JsonObject) -> str:
        return (
            pgettext("hitl", "Declined")
            if stored.get("value") == self.DECLINED
            else pgettext("hitl", "Done")
        )


def _consent_question(title: str) -> str:
    return pgettext("hitl", "Connect your account at %(title)s") % {"title": title}


class OAuthPrompt(_ElsewherePrompt):
    """A prompt to sign in elsewhere and to agree there. `text` is the URL to go to; it begins with
    http:// or https://. `details` may say what for.
    """

    input_type: Literal["oauth_consent"] = "oauth_consent"
    default: Literal["declined"] | None = None
    # The consent request, if this site itself manages the consent: the redirect back is the answer.
    request: ConsentRequest | None = Field(default=None, exclude_if=is_none)
    takes = pgettext_lazy("hitl", "that somebody has signed in there, or declined")
    _leads_somewhere = field_validator("text")(_checked_url)

    @property
    def question(self) -> str:
        if self.request is not None:
            return _consent_question(self.request.title)
        return pgettext("hitl", "Sign in at %(host)s, then confirm it here.") % {"host": self.host}

    @classmethod
    def title(cls, content: Content) -> str:
        if request := content.get("request"):
            return _consent_question(request["title"])
        return pgettext("hitl", "Sign in at %(host)s") % {
            "host": urlsplit(content["text"]).hostname
        }

    @classmethod
    def plain(cls, content: Content, link: Callable[[], str]) -> list[Content]:
        # The URL is the last paragraph, perhaps after the reason why an answer was refused.
        reason, gap, url = content["text"].rpartition("\n\n")
        details, request = details_line(content), content.get("request")
        suffix = f" ({details})" if details else ""
        task = f"Sign in at {urlsplit(url).netloc}"
        if request:
            task = f"Connect your account at {request['title']}"
        direction = f"in the window that opened. If there is none, go to: {url}"
        text = f"{reason}{gap}{task}{suffix}, {direction}"
        labels = {cls.DONE: "I have signed in", cls.DECLINED: "Decline"}
        return [{**content, "text": url}, plain_choice(content, text, labels, "binary_choice")]

    @classmethod
    def http(cls, content: Content) -> JsonObject:
        url = content["text"]
        state = parse_qs(urlsplit(url).query).get("state", [""])[0]
        return {"status": "oauth_required", "auth_url": url, "oauth_state": state}

    @property
    def address(self) -> str:
        return self.text

    def from_text(self, text: str) -> JsonObject:
        if self.request is not None and text != self.DECLINED:
            reason = pgettext_lazy(
                "hitl", "Open the link and agree at {title}. That answers the question."
            )
            raise Invalid(format_lazy(reason, title=self.request.title))
        return super().from_text(text)


class LinkPrompt(_ElsewherePrompt):
    """A prompt to do something on another page; `text` says what for.

    The page is not opened before the person has seen its whole address.
    """

    input_type: Literal["link"] = "link"
    url: str = Field(max_length=4_000)
    default: Literal["declined"] | None = None
    takes = pgettext_lazy("hitl", "that somebody has done it there, or declined")
    _leads_somewhere = field_validator("url")(_checked_url)

    @classmethod
    def plain(cls, content: Content, link: Callable[[], str]) -> list[Content]:
        text = f"{with_details(content)}\n\n{content['url']}"
        labels = {cls.DONE: "I've done it", cls.DECLINED: "Decline"}
        return [plain_choice(content, text, labels, "binary_choice")]

    @property
    def address(self) -> str:
        return self.url

"""A page as a browser without script has it: its links, and what its buttons send."""

from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urljoin

from django.test import AsyncClient
from django.urls import reverse


@dataclass
class Control:
    """A control of a form: a field with its value, or a button, which has a label."""

    tag: str
    attributes: dict[str, str]
    form: str
    text: str = ""

    @property
    def label(self) -> str:
        return self.attributes.get("aria-label") or " ".join(self.text.split())

    @property
    def value(self) -> str:
        """Return what it sends; a browser leaves out the first line end of a textarea."""
        return self.text if self.tag == "textarea" else self.attributes.get("value", "on")

    @property
    def is_sent(self) -> bool:
        if self.tag == "button" or self.attributes.get("type") in ("file", "submit"):
            return False
        is_choice = self.attributes.get("type") in ("radio", "checkbox")
        return "name" in self.attributes and (not is_choice or "checked" in self.attributes)


@dataclass
class PlainPage(HTMLParser):
    """The links and controls of a page, in its order."""

    html: str
    controls: list[Control] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()
        self.forms: dict[str, dict[str, str]] = {}
        self._form = ""
        self._open: Control | None = None
        self.feed(self.html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        if tag == "form":
            self._form = attributes.get("id") or f"form {len(self.forms)}"
            self.forms[self._form] = attributes
        elif tag in ("input", "button", "textarea", "a"):
            form = attributes.get("form", self._form)
            self.controls.append(Control(tag, attributes, form))
            self._open = self.controls[-1] if tag != "input" else None

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._form = ""
        if self._open and tag == self._open.tag:
            self._open = None

    def handle_data(self, data: str) -> None:
        if self._open:
            self._open.text += data

    def named(self, label: str, tag: str) -> Control:
        controls = [one for one in self.controls if one.tag == tag and one.label == label]
        assert controls, f"no {tag} {label!r} in {[one.label for one in self.controls]}"
        return controls[0]


async def get(client: AsyncClient, door: str, *names: Any, **query: Any) -> Any:
    return await client.get(reverse(f"chat:{door}", args=names), query)


async def post(client: AsyncClient, door: str, *names: Any, **fields: Any) -> Any:
    return await client.post(reverse(f"chat:{door}", args=names), fields)


async def text_of(client: AsyncClient, door: str, *names: Any, **query: Any) -> str:
    return str((await get(client, door, *names, **query)).content.decode())


async def content_of(answer: Any) -> bytes:
    return b"".join([piece async for piece in answer.streaming_content])


async def page(
    client: AsyncClient, conversation: str = "c", *, language: str = "", **query: str | int
) -> str:
    headers = {"accept-language": language} if language else {}
    path = reverse("chat:conversation", args=[conversation])
    response = await client.get(path, query, headers=headers)
    assert response.status_code == 200
    return response.content.decode()


async def export(client: AsyncClient, conversation: str, form: str) -> str:
    """Return the file of a conversation, `md` or `json`."""
    answer = await client.get(reverse("chat:export", args=[conversation, form]))
    assert answer.status_code == 200
    assert answer["Content-Disposition"] == f'attachment; filename="conversation.{form}"'
    return (await content_of(answer)).decode()


async def follow(client: AsyncClient, html: str, link: str, here: str = "/") -> str:
    """Return the page that a link leads to, of the page whose path is `here`."""
    path = urljoin(here, PlainPage(html).named(link, "a").attributes["href"])
    response: Any = await client.get(path, follow=True)
    return str(response.content.decode())


async def press(
    client: AsyncClient, html: str, button: str, here: str = "/", **typed: object
) -> str:
    """Press a button and return the next page; its form's fields have what was `typed`.

    Files go in a list, and only with a form that says so.
    """
    page = PlainPage(html)
    pressed = page.named(button, "button")
    fields: dict[str, Any] = {}
    for one in page.controls:
        is_sent = one.is_sent or (one is pressed and "name" in one.attributes)
        if one.form == pressed.form and is_sent:
            fields.setdefault(one.attributes["name"], []).append(one.value)
    form = page.forms[pressed.form]
    if form.get("enctype") != "multipart/form-data":
        assert not any(isinstance(value, list) for value in typed.values()), "files"
    path = pressed.attributes.get("formaction") or form.get("action", here)
    response: Any = await client.post(path, fields | typed, follow=True)
    return str(response.content.decode())

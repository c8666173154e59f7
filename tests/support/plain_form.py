"""The data that a browser sends for a form, by the rules of HTML."""

import re
from datetime import date, datetime, time
from html.parser import HTMLParser

from django import forms

NUMBER = re.compile(r"-?(\d+(\.\d+)?|\.\d+)([eE][+-]?\d+)?")
DATES = {"date": date, "time": time, "datetime-local": datetime}


def as_browser(form: forms.BaseForm) -> dict[str, list[str]]:
    """Return the data that a browser sends for an unchanged form, without the prefix of names."""
    # Browsers convert all line ends in HTML to "\n".
    html = form.as_div().replace("\r\n", "\n").replace("\r", "\n")
    reader = _Reader()
    reader.feed(html)
    reader.close()
    start = f"{form.prefix}-"
    sent: dict[str, list[str]] = {}
    for name, value in reader.sent:
        sent.setdefault(name.removeprefix(start), []).append(value)
    return sent


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.sent: list[tuple[str, str]] = []
        self._area: str | None = None
        self._text = ""
        self._select = ""
        self._options: list[tuple[str, bool]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        name = attributes.get("name", "")
        if tag == "input":
            self._take_input(attributes)
        elif tag == "textarea":
            self._area, self._text = name, ""
        elif tag == "select":
            self._select, self._options = name, []
        elif tag == "option":
            self._options.append((attributes["value"], "selected" in attributes))

    def handle_data(self, data: str) -> None:
        self._text += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "textarea" and self._area is not None:
            self.sent.append((self._area, self._text.removeprefix("\n")))
            self._area = None
        elif tag == "select":
            chosen = [value for value, is_selected in self._options if is_selected]
            self.sent.append((self._select, (chosen or [self._options[0][0]])[-1]))

    def _take_input(self, attributes: dict[str, str]) -> None:
        kind, value = attributes.get("type", "text"), attributes.get("value", "")
        if kind in ("checkbox", "radio"):
            if "checked" in attributes:
                self.sent.append((attributes["name"], attributes.get("value", "on")))
            return
        value = value.replace("\n", "")
        if (kind == "number" and not NUMBER.fullmatch(value)) or (
            kind in DATES and not _is_date(kind, value)
        ):
            value = ""
        self.sent.append((attributes["name"], value))


def _is_date(kind: str, value: str) -> bool:
    try:
        DATES[kind].fromisoformat(value)  # type: ignore[attr-defined] # all three have it
    except ValueError:
        return False
    return not value.endswith("Z") and "+" not in value

"""A person with a browser without scripts, and a program with an API key."""

import http.client
import json
from collections.abc import Mapping
from html.parser import HTMLParser
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import urlencode, urljoin, urlsplit

from tests.support.host_site.site import MAIL, NAME, PASSWORD, Site
from tests.support.processes.environment import HOST
from tests.support.websocket import WsClient

MOST_REDIRECTS = 8


class Page(HTMLParser):
    """A page and its forms: the URL of each, and its fields with their values."""

    def __init__(self, url: str, status: int, text: str, headers: http.client.HTTPMessage) -> None:
        super().__init__()
        self.url, self.status, self.text, self.headers = url, status, text, headers
        self.forms: list[tuple[str, dict[str, str]]] = []
        self.attributes: dict[str, str] = {}
        self.scripts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.attributes |= {name: text for name, text in values.items() if name[:5] == "data-"}
        if tag == "form":
            self.forms.append((urljoin(self.url, values.get("action", "")), {}))
        elif tag in ("input", "textarea") and "name" in values and self.forms:
            self.forms[-1][1][values["name"]] = values.get("value", "")
        elif tag == "script" and "src" in values:
            self.scripts.append(urljoin(self.url, values["src"]))

    def form(self, field: str) -> tuple[str, dict[str, str]]:
        """Return the first form with the field."""
        forms = [form for form in self.forms if field in form[1]]
        assert forms, f"no form with {field} at {self.url}: {self.text[:3000]}"
        return forms[0]


class Visitor:
    """A client that keeps cookies and follows redirects, behind the site's proxy."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.cookies: dict[str, str] = dict(site.line.cookies)
        self.base = f"{site.line.scheme}://{site.line.host or f'{HOST}:{site.port}'}"

    @property
    def cookie_header(self) -> str:
        return "; ".join(f"{name}={value}" for name, value in self.cookies.items())

    def get(self, url: str) -> Page:
        return self.request("GET", url)

    def post(self, url: str, fields: Mapping[str, str], *, referer: str) -> Page:
        headers = {
            "Content-Type": "application/x-www-form-urlencoded",
            "Referer": referer,
            "Origin": self.base,
        }
        return self.request("POST", url, urlencode(fields), headers)

    def request(
        self, method: str, url: str, body: str | None = None, headers: Mapping[str, str] = {}
    ) -> Page:
        """Make a request, and follow redirects."""
        url = urljoin(self.base, url)
        for _ in range(MOST_REDIRECTS):
            page = self._once(method, url, body, headers)
            if "Location" not in page.headers:
                return page
            url = urljoin(url, page.headers["Location"])
            assert urlsplit(url).path.startswith(self.site.line.prefix + "/"), url
            if page.status not in (307, 308):
                method, body = "GET", None
        raise AssertionError(f"it redirects without end: {url}")

    def _once(self, method: str, url: str, body: str | None, headers: Mapping[str, str]) -> Page:
        parts = urlsplit(url)
        self.base = f"{parts.scheme}://{parts.netloc}"
        path = parts.path.removeprefix(self.site.line.prefix)
        connection = http.client.HTTPConnection(HOST, self.site.port, timeout=20)
        sent = {"Host": parts.netloc, **self.site.line.headers, **headers}
        if self.cookies:
            sent["Cookie"] = self.cookie_header
        connection.request(method, f"{path}?{parts.query}", body, sent)
        response = connection.getresponse()
        text = response.read().decode(errors="replace")
        for header in response.headers.get_all("Set-Cookie", []):
            self.cookies |= {name: one.value for name, one in SimpleCookie(header).items()}
        connection.close()
        return Page(url, response.status, text, response.headers)

    def sign_in(self, path: str) -> Page:
        """Open a page, sign in on the page to which it redirects, and return the page.

        Whom a part of the site has signed in already gets the page at once.
        """
        door = self.get(path)
        if self.site.line.cookies:
            return door
        url, fields = door.form("password")
        [name] = {"username", "login", "email"} & fields.keys()
        user = MAIL if "mail_people" in self.site.line.settings else NAME
        return self.post(url, {**fields, name: user, "password": PASSWORD}, referer=door.url)

    def program(
        self, method: str, path: str, body: object = None, *, key: bool = True
    ) -> tuple[int, Any]:
        """Make a request as a program does; return the status and the JSON of the response."""
        visitor = Visitor(self.site)
        visitor.base, visitor.cookies = self.base, {}
        headers = {"Authorization": f"Bearer {self.site.key}"} if key else {}
        headers["Content-Type"] = "application/json"
        page = visitor._once(
            method, urljoin(self.base, path), json.dumps(body) if body else None, headers
        )
        try:
            return page.status, json.loads(page.text)
        except ValueError:
            return page.status, page.text[:2000]


async def converse(visitor: Visitor, url: str, conversation: str) -> str:
    """Greet on a socket as the page's script does, and answer; return the run's text."""
    site: Any = visitor.site
    path = url.removeprefix(site.line.prefix)
    async with WsClient(
        site,
        conversation,
        url=f"ws://{urlsplit(visitor.base).netloc}{path}",
        user=None,
        origin=visitor.base,
        headers={"Cookie": visitor.cookie_header, **site.line.headers},
        workflow="greeting",
    ) as socket:
        prompt = await socket.message_until_prompt("Good morning")
        await socket.answer("Ann", prompt)
        await socket.until_ended("completed")
        return socket.text()

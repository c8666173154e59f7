"""A client without scripts that signs in by a printed link."""

import re
from http.cookiejar import CookieJar
from urllib.request import HTTPCookieProcessor, OpenerDirector, build_opener


def browse(jar: CookieJar | None = None) -> OpenerDirector:
    """Return a client that follows redirects, with cookies in that jar."""
    return build_opener(HTTPCookieProcessor(jar))


def page_text(client: OpenerDirector, url: str) -> tuple[str, str]:
    """Return the final URL of a GET, and the text of the page."""
    with client.open(url, timeout=20) as answer:
        return answer.url, answer.read().decode()


def press(client: OpenerDirector, link: str) -> tuple[str, str]:
    """Press the button of a sign-in link's page; return the next URL and page."""
    where, page = page_text(client, link)
    if where != link:
        return where, page
    [token] = re.findall(r'name="csrfmiddlewaretoken" value="(\w+)"', page)
    with client.open(link, f"csrfmiddlewaretoken={token}".encode(), timeout=20) as answer:
        return answer.url, answer.read().decode()

"""Throwing the corpus at a server: which entry at which door, and what must hold afterwards."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from html.parser import HTMLParser
from typing import TypeVar

from tests.hostile.attack.raw_http import Answer, Request, send
from tests.support.running_form import CLUSTER
from tests.support.server import Server

D = TypeVar("D")
E = TypeVar("E")

# Every entry at every door takes an hour: tests throw a share, and another one by HOSTILE_SHARE.
SHARE = int(os.environ.get("HOSTILE_SHARE", "0"))
# Attributes that lead somewhere.
ADDRESSES = {"href", "src", "action", "formaction", "data", "poster", "srcset", "xlink:href"}
NO_SCRIPT = ("http://", "https://", "mailto:", "?", "#", "data:image/")
LOADING = ("iframe", "object", "embed", "base")
# As a line of the log would begin: see corpus/texts.json.
FORGED = "2026-01-01 [error] forged"
# Scripts of ours are files; nothing in a page is one.
OURS = ("/static/", "/admin/jsi18n/")

# How far the logs were looked at, by server and number of the process.
_looked_at: dict[tuple[str, int], int] = {}


def spread(doors: Sequence[D], entries: Sequence[E], share: int) -> Iterator[tuple[D, E]]:
    """Pairs of a door and an entry: one in twelve times `share`, every door and every entry alike;
    in the form of many processes others than in that of one.
    """
    share = min(SHARE or 12 * share, len(entries))
    for number, door in enumerate(doors):
        for place, entry in enumerate(entries):
            if (number + place) % share == (share // 2 if CLUSTER else 0):
                yield door, entry


def throw(server: Server, requests: Iterable[Request], *, but: str = "Traceback (") -> list[Answer]:
    """Send the requests, a few at once; fail at an answer that no input may get.

    `but`: see `check_log`.
    """
    requests = list(requests)
    answers = in_order(send, server, requests)
    wrong = [
        f"{answer.status}: {request.method} {request.path[:300]} ({request.door}): {complaint}"
        for request, answer in zip(requests, answers, strict=True)
        if (complaint := complaint_about(answer))
    ]
    assert not wrong, f"{len(wrong)} of {len(requests)}:\n" + "\n".join(wrong[:30])
    check_log(server, but=but)
    return answers


def in_order(
    way: Callable[[Server, Request], Answer], server: Server, requests: Sequence[Request]
) -> list[Answer]:
    """Send the requests that way, a few at once; return the answers in the same order."""
    with ThreadPoolExecutor(4) as pool:
        return list(pool.map(partial(way, server), requests))


def complaint_about(answer: Answer) -> str:
    """Return what is wrong with an answer; "" if nothing is."""
    if answer.status >= 500:
        return answer.text[:200]
    if answer.media_type == "text/html":
        return "; ".join(executable(answer.text))
    return ""


def check_log(server: Server, *, but: str = "Traceback (") -> None:
    """Check that nothing has failed inside since the last look, and that no line is forged.

    A trace with `but` in it is one that was asked for.
    """
    log = "".join(_news(server, number) for number in range(len(server.children)))
    _, *traces = log.split("Traceback (most recent call last)")
    wrong = [trace for trace in traces if but not in trace]
    assert not wrong, f"{len(wrong)} tracebacks:\n" + "\n…\n".join(wrong[:3])[:9000]
    assert not [line for line in log.splitlines() if line.startswith(FORGED)], log[-3000:]


def _news(server: Server, number: int) -> str:
    """Return what a process of the server has printed since the last look."""
    log = server.children[number].log
    last_position = _looked_at.get((server.url, number), 0)
    _looked_at[server.url, number] = len(log)
    return log[last_position:]


def executable(html: str) -> list[str]:
    """Return what in a page runs, or leads to what runs, and is not ours."""
    page = _Page()
    page.feed(html)
    page.close()
    return page.found


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        ours = (
            attributes.get("src", "").startswith(OURS)
            or attributes.get("type") == "application/json"
        )
        if tag in LOADING or (tag == "script" and not ours):
            self.found.append(f"<{tag} {attributes}>")
        for name, value in attributes.items():
            address = value.strip().lower()
            if (
                name.startswith("on")
                or name == "srcdoc"
                or (
                    name in ADDRESSES and _has_scheme(address) and not address.startswith(NO_SCRIPT)
                )
            ):
                self.found.append(f"{tag} {name}={value[:80]}")


def _has_scheme(address: str) -> bool:
    return ":" in address.partition("/")[0]

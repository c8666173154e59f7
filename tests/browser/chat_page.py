"""The actions of people on a conversation's page, and what the log says they must see."""

import json
import time
from collections.abc import Callable
from functools import partial
from urllib.parse import unquote

from playwright.sync_api import Locator, Page, expect

from tests.support.browser import PATIENCE
from tests.support.server import Server

# What the browser says to a tab that somebody comes back to.
SEEN_AGAIN = "document.dispatchEvent(new Event('visibilitychange'))"

# Waits for ten frames in a row in which nothing scrolls.
AT_REST = """() => new Promise((rest) => {
  const box = document.getElementById("scroller");
  let frames = 0, place = -1;
  const look = () => {
    frames = box.scrollTop === place ? frames + 1 : 0;
    place = box.scrollTop;
    frames < 10 ? requestAnimationFrame(look) : rest();
  };
  look();
})"""


def begin(
    page: Page, text: str, workflow: str = "probe", *, until: str = "", cards: int = 0
) -> None:
    """Begin a conversation with a message, and wait until it is in the transcript.

    Then wait until the run is in a state, or so many cards are there.
    """
    open_new(page, workflow)
    say(page, text)
    if until:
        state(page, until)
    if cards:
        expect(card(page)).to_have_count(cards)


def open_in_another_tab(page: Page, path: str = "") -> Page:
    """Open the conversation, or another page, in one more tab of the same browser."""
    other = page.context.new_page()
    other.goto(path or page.url)
    until_connected(other)
    return other


def sign_in(page: Page, server: Server, person: str) -> None:
    """Have somebody signed in in the browser, as after a sign-in in another tab."""
    cookie = {"name": "sessionid", "value": server.cookies[person], "url": server.url}
    page.context.add_cookies([cookie])  # type: ignore[list-item] # a TypedDict there


def open_new(page: Page, workflow: str = "probe") -> None:
    page.goto("/c/")
    until_connected(page)
    choice = page.locator(f"input[name=workflow][value={workflow}]")
    choice.press("Space")  # a click misses it where the page moves meanwhile
    expect(choice).to_be_checked()


def say(page: Page, text: str) -> None:
    """Send a message, and wait until the server has it, and has rendered it."""
    page.locator("#text").fill(text)
    page.locator("#text").press("Enter")
    expect(page.locator(".user .bubble").last).to_have_text(text)
    expect(page.locator("[data-unsent]")).to_have_count(0)
    expect(page.locator("#text")).to_have_value("")


def begin_called(page: Page) -> Callable[[], object]:
    """Begin a conversation that asks when it is told to, by the function that is returned."""
    begin(page, "ask_after_callback()")
    url = page.locator("#items .text p")
    expect(url).to_contain_text("/callbacks/")
    return partial(page.request.post, url.inner_text())


def until_connected(page: Page) -> None:
    expect(page.locator("#connection")).to_have_attribute("data-state", "connected")


def state(page: Page, name: str) -> None:
    expect(page.locator("#state .run")).to_have_attribute("data-name", name)


def card(page: Page) -> Locator:
    """Return the cards: one for each question that waits."""
    return page.locator("prompt-card")


def answer(form: Locator) -> None:
    """Answer a card of any type with what comes first, and the text that any number asks for."""
    kind = form.get_attribute("data-type")
    if kind == "text":
        form.locator("textarea").fill("236")
    elif kind == "dropdown":
        expect(form.locator("select")).to_have_value("")  # nothing is chosen for anybody
        form.locator("select").select_option(index=1)
    elif kind in ("radio", "checkbox"):
        form.locator(f"input[type={kind}]").first.check()
    form.locator("button[class*=primary], [value=ok]").first.click()


def conversation_id(page: Page) -> str:
    return unquote(page.url.split("/c/")[1].split("?")[0].strip("/"))


def output_on_page(page: Page) -> str:
    texts = page.locator("#items .text .body").all_text_contents()
    return " ".join(" ".join(texts).split())


def output_in_log(server: Server, conversation: str) -> str:
    """Return all output in the log, in words, without what was begun anew."""
    pieces: list[tuple[str, int, str]] = []
    for row in server.rows(
        "SELECT e.type, e.run_id, e.first_sequence, e.payload FROM sessions_app_event e"
        " JOIN sessions_app_conversation c ON c.id = e.conversation_id"
        " WHERE c.conversation_id = ? ORDER BY e.sequence",
        conversation,
    ):
        payload = json.loads(row["payload"])
        if row["type"] == "restart":
            begin = payload["from_sequence"]
            pieces = [one for one in pieces if one[0] != row["run_id"] or one[1] < begin]
        elif row["type"] in ("text", "message"):
            length = payload.get("lengths", [len(payload["text"])])
            at = 0
            for offset, size in enumerate(length):
                text = payload["text"][at : at + size]
                pieces.append((row["run_id"], row["first_sequence"] + offset, text))
                at += size
    runs: dict[str, str] = {}
    for run, _, text in pieces:
        runs[run] = runs.get(run, "") + text
    return " ".join(" ".join(runs.values()).split())


def assert_page_is_log(page: Page, server: Server) -> None:
    """Check that the page has every word of the log, once, in order, in items of the server's."""
    text = output_in_log(server, conversation_id(page))
    expect(page.locator("#items [data-temporary]")).to_have_count(0)
    expect(page.locator("#items .tail")).to_have_count(0)
    # The page may just be putting in what the server rendered.
    deadline = time.monotonic() + PATIENCE / 1000
    while output_on_page(page) != text and time.monotonic() < deadline:
        page.wait_for_timeout(50)
    assert output_on_page(page) == text, f"{output_on_page(page)!r}\nis not\n{text!r}"
    placed = "#items > :not(.note)"  # which stand with their run
    firsts = page.eval_on_selector_all(placed, "all => all.map(e => Number(e.dataset.first))")
    assert firsts == sorted(set(firsts))

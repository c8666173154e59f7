"""A chime and a notification for who looks at none of the open pages."""

import json
import re
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.chat_page import card, open_in_another_tab, until_connected
from tests.browser.look import assert_accessible
from tests.http.client import Http
from tests.inbox.people import ask_managers, make_group
from tests.support import polling
from tests.support.browser import OpenPage
from tests.support.server import Server

pytestmark = pytest.mark.formless  # see test_three_people.py for both forms
MORE_PAGES = pytest.mark.beyond("one of two tabs notifies, whatever the two show")
MORE_BROWSERS = pytest.mark.beyond("each feature that a browser lacks is explained")
MORE_NEWS = pytest.mark.beyond("many prompts notify once, a revoked permission is explained")

# Counted, the first of them the browser's own; a page is in view or not as a test says.
COUNTED = """
  const Note = window.Notification;
  window.told = [];
  window.tones = 0;
  window.isHidden = true;
  window.Notification = class extends Note {
    constructor(title, options) { super(title, options); told.push(this); }
    close() { this.isClosed = true; super.close(); }
  };
  window.AudioContext = class {
    currentTime = 0;
    async resume() {}
    async suspend() {}
    createOscillator() { tones += 1; return this.createGain(); }
    createGain() {
      const value = new Proxy({}, { get: () => () => {} });
      return { gain: value, frequency: value, connect: (to) => to, start() {}, stop() {} };
    }
  };
  Object.defineProperty(Document.prototype, "hidden", { get: () => isHidden });
"""
TOLD = "told.map((each) => [each.tag, each.title, each.body, Boolean(each.isClosed)])"
NOTES = 2  # of one chime
CLOSED = "told[0].isClosed"
QUESTION_TOLD, QUESTION = "A question is waiting for you", "Give ann 3 days off?"


@pytest.fixture(autouse=True)
def _managers(server: Server) -> None:
    make_group(server)


@pytest.fixture
def page(open_page: OpenPage) -> Page:
    page = open_page(None, user="ben")
    page.context.grant_permissions(["notifications"])
    page.context.add_init_script(COUNTED)
    return page


def ask(server: Server, name: str = "one") -> str:
    return str(ask_managers(server, name=name)["interaction_id"])


def answer_elsewhere(server: Server, prompt_id: str) -> None:
    response = Http(server, "user0").form(f"/p/{prompt_id}/answer/", {"value": "yes"})
    assert response.status == 303


def switch_on(page: Page, *labels: str) -> None:
    """Switch it on as people do; their click lets the pages sound."""
    page.goto("/settings/")
    for label in labels or ("Chime", "Notification"):
        page.get_by_label(label, exact=True).check()
        expect(page.locator("#attention [role=status]")).to_have_text("Saved")


def leads(page: Page) -> None:
    """Wait until it is the page that tells."""
    name = "attention of ben"
    held = f"navigator.locks.query().then(({{ held }}) => held.some((it) => it.name === '{name}'))"
    until(page, f"{held}.then((is) => is && Boolean(localStorage['draft:ben:attention']))")


def until(page: Page, script: str) -> None:
    """Wait; `wait_for_function` may not, by the pages' policy."""
    polling.until(lambda: page.evaluate(script), otherwise=lambda: script)


def notifications(*pages: Page) -> list[Any]:
    return [each for page in pages for each in page.evaluate(TOLD)]


def tones(*pages: Page) -> int:
    return sum(page.evaluate("tones") for page in pages)


def wait_until_told(number: int, *pages: Page) -> list[Any]:
    polling.until(
        lambda: len(notifications(*pages)) >= number and tones(*pages) >= NOTES * number,
        otherwise=lambda: (notifications(*pages), tones(*pages)),
    )
    return notifications(*pages)


@pytest.mark.slow
@pytest.mark.parametrize("path", ["/c/", "/inbox/"])
def test_without_the_settings_a_page_asks_for_no_notifications(
    page: Page, server: Server, path: str
) -> None:
    urls: list[str] = []
    sockets: list[str] = []
    page.on("request", lambda request: urls.append(request.url))
    page.on("websocket", lambda socket: sockets.append(socket.url))
    page.goto(path)
    until_connected(page)
    ask(server)
    expect(page).to_have_title(
        "(1) Inbox" if path == "/inbox/" else "(1) Needs you – New conversation"
    )
    assert (notifications(page), tones(page)) == ([], 0)
    assert not [url for url in urls if "/attention/" in url or "/v1/" in url]
    assert len(sockets) == 1
    assert ("waiting=inbox" in sockets[0]) == (path == "/inbox/")


@pytest.mark.slow
@pytest.mark.parametrize(
    "paths",
    [
        ("/c/", "/inbox/"),
        *(pytest.param((path, "/c/"), marks=MORE_PAGES) for path in ("/inbox/", "/p/")),
    ],
)
def test_only_one_of_two_hidden_tabs_notifies_of_each_question_until_it_is_answered(
    page: Page, server: Server, paths: tuple[str, str]
) -> None:
    old = ask(server, "old")
    switch_on(page)
    tabs = [open_in_another_tab(page, path.replace("/p/", f"/p/{old}/")) for path in paths]
    leads(tabs[0])
    first = ask(server, "one")
    words = [QUESTION_TOLD, QUESTION, False]
    assert wait_until_told(1, *tabs) == [[first, *words]]
    second = ask(server, "two")
    assert wait_until_told(2, *tabs) == [[first, *words], [second, *words]]
    assert tones(*tabs) == 2 * NOTES
    tabs[0].close()
    third = ask(server, "three")
    assert wait_until_told(1, tabs[1]) == [[third, *words]]
    # A page that begins to lead looks by itself; its socket may tell it of the fourth only now.
    expect(tabs[1]).to_have_title(re.compile(r"^\(4\) "))
    answer_elsewhere(server, third)
    until(tabs[1], CLOSED)


@pytest.mark.slow
def test_a_visible_page_and_the_settings_suppress_notifications(page: Page, server: Server) -> None:
    switch_on(page)
    hidden = open_in_another_tab(page, "/inbox/")
    leads(hidden)
    visible_page = open_in_another_tab(page, "/c/")
    look = "isHidden = {}; document.dispatchEvent(new Event('visibilitychange'))"
    visible_page.evaluate(look.format("false"))
    for name in ("one", "two"):  # the second look comes when the first has done all it does
        until(hidden, f"localStorage['draft:ben:attention'].includes('{ask(server, name)}')")
    visible_page.evaluate(look.format("true"))
    third = ask(server, "three")
    wait_until_told(1, hidden)
    page.goto("/settings/")
    page.get_by_label("Notification", exact=True).uncheck()
    expect(page.locator("#attention [role=status]")).to_have_text("Saved")
    ask(server, "four")
    until(hidden, f"tones === {2 * NOTES}")
    assert [each[0] for each in notifications(hidden, visible_page)] == [third]


@pytest.mark.slow
@pytest.mark.parametrize("path", ["/c/", "/inbox/"])
def test_a_click_leads_to_the_question(page: Page, server: Server, path: str) -> None:
    switch_on(page)
    tab = open_in_another_tab(page, path)
    leads(tab)
    prompt_id = ask(server)
    wait_until_told(1, tab)
    if path == "/inbox/":
        expect(card(tab)).to_have_count(1)
    tab.evaluate("told[0].onclick()")
    if path == "/inbox/":
        expect(card(tab).locator("h2")).to_be_focused()
    else:
        tab.wait_for_url(f"**/p/{prompt_id}/")
    assert tab.evaluate("window.told?.[0]?.isClosed ?? true")


@pytest.mark.slow
def test_notification_of_a_question_that_is_answered_at_once_is_closed(
    page: Page, server: Server
) -> None:
    """The socket tells numbers: of a question that comes and goes in between it tells nothing."""
    switch_on(page)
    answer: dict[str, Any] = {"prompts": [], "more": False}

    def give(route: Route) -> None:
        route.fulfill(body=json.dumps(answer), content_type="application/json")

    page.context.route("**/v1/inbox?*", give)
    tab = open_in_another_tab(page, "/c/")
    leads(tab)
    answer["prompts"] = [{"interaction_id": "1", "prompt": {"text": "x"}}]
    ask(server)
    wait_until_told(1, tab)
    answer["prompts"] = []
    until(tab, CLOSED)


@MORE_NEWS
@pytest.mark.slow
@pytest.mark.parametrize("more", [False, True])
def test_many_new_prompts_make_one_notification(page: Page, server: Server, more: bool) -> None:
    """More than a few at once; or more than are listed, of which none may be new."""
    switch_on(page)
    prompts = [{"interaction_id": str(number), "prompt": {"text": "x"}} for number in range(5)]
    answer = {"prompts": prompts if more else [], "more": more}

    def give(route: Route) -> None:
        route.fulfill(body=json.dumps(answer), content_type="application/json")

    page.context.route("**/v1/inbox?*", give)
    tab = open_in_another_tab(page, "/c/")
    leads(tab)
    answer["prompts"] = prompts
    prompt_id = ask(server)
    assert wait_until_told(1, tab) == [["several", QUESTION_TOLD, "", False]]
    answer["prompts"] = [{**prompts[0], "interaction_id": "moved up"}, *prompts] if more else []
    answer_elsewhere(server, prompt_id)
    expect(tab).to_have_title("New conversation")
    until(tab, "localStorage['draft:ben:attention'].includes('moved up')" if more else CLOSED)
    assert len(notifications(tab)) == 1


@pytest.mark.slow
def test_switching_the_chime_on_plays_it(open_page: OpenPage) -> None:
    page = open_page(None)
    page.add_init_script("""
      window.states = [];
      window.AudioContext = class extends AudioContext {
        createOscillator() { states.push(this.state); return super.createOscillator(); }
      };
    """)
    page.goto("/settings/")
    page.get_by_label("Chime", exact=True).check()
    until(page, "states.length === 2")
    assert page.evaluate("states") == ["running", "running"]


MISSING = "delete window.Notification"
REFUSES = "Notification.requestPermission = async () => 'denied'"
# As on a phone: it is there, and throws.
PHONE = """
  Notification = class {
    static async requestPermission() { return "granted"; }
    constructor() { throw new TypeError(); }
  };
"""
INSECURE = "Object.defineProperty(window, 'isSecureContext', { value: false })"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("script", "label", "why"),
    [
        (REFUSES, "Notification", "blocks notifications"),
        pytest.param(MISSING, "Notification", "shows no notifications", marks=MORE_BROWSERS),
        pytest.param(PHONE, "Notification", "shows no notifications", marks=MORE_BROWSERS),
        ("delete window.AudioContext", "Chime", "cannot play"),
        pytest.param(INSECURE, "Chime", "over HTTPS", marks=MORE_BROWSERS),
    ],
)
def test_an_unsupported_browser_feature_is_explained(
    page: Page, script: str, label: str, why: str
) -> None:
    page.add_init_script(script)
    page.goto("/settings/")
    page.get_by_label(label, exact=True).click()
    expect(page.locator("#attention .error")).to_contain_text(why)
    expect(page.get_by_label(label, exact=True)).not_to_be_checked()
    assert_accessible(page)


@MORE_NEWS
@pytest.mark.slow
def test_a_revoked_permission_is_explained_and_without_the_script_saving_keeps_the_settings(
    page: Page, open_page: OpenPage
) -> None:
    switch_on(page)
    expect(page.locator("#attention .error")).to_be_empty()
    page.add_init_script("Object.defineProperty(Notification, 'permission', { value: 'denied' })")
    page.reload()
    expect(page.locator("#attention .error")).to_contain_text("blocks notifications")
    cookies = page.context.cookies()
    plain = open_page(None, user=None, java_script_enabled=False)
    plain.context.add_cookies(cookies)  # type: ignore[arg-type] # as they came
    plain.goto("/settings/")
    expect(plain.locator("#attention")).to_be_hidden()
    assert "<noscript><p><small>Chime and notification need JavaScript." in plain.content()
    plain.get_by_role("button", name="Save").click()
    names = {each["name"] for each in plain.context.cookies()}
    assert {"chat_chime", "chat_notification"} <= names

"""The inbox for everyone: small screens, zoom, both themes, keys; several at once, and pages."""

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.chat_page import begin, card, until_connected
from tests.browser.look import assert_looks_right
from tests.inbox.people import make_group, send_question
from tests.support.browser import OpenPage
from tests.support.server import Server

pytestmark = pytest.mark.formless  # how pages look does not depend on where their rows are
LONG_LISTS = pytest.mark.beyond("a second page, all columns and whole titles are seen")

MOST = 25  # on a page
TEXT = "StaticText"
NARROW = {"width": 1000, "height": 800}  # a card covers the list


@pytest.fixture(autouse=True)
def _managers(server: Server) -> None:
    make_group(server)


def ask(server: Server, *prompts: str) -> None:
    """Have ann ask the managers, in a conversation each."""
    for number, words in enumerate(prompts):
        send_question(server, words, name=str(number))


def inbox_of(open_page: OpenPage, count: int) -> Page:
    page = open_page("/inbox/", user="ben", viewport=NARROW)
    until_connected(page)
    expect(page.locator(".entry")).to_have_count(count)
    return page


def entry(page: Page, words: str) -> Locator:
    return page.locator(".entry", has_text=words)


@pytest.mark.beyond("the keyboard alone does all in the inbox, whatever others do")
@pytest.mark.slow
def test_the_inbox_works_by_keyboard_alone_also_when_others_answer(
    page: Page, open_page: OpenPage, server: Server
) -> None:
    begin(page, 'ask_others(to="managers", days=1, due=60)', until="waiting")
    ask(server, "days=2, due=90", "days=3")
    inbox = inbox_of(open_page, 3)
    first = entry(inbox, "1 days")
    press(inbox, first.locator(".permanent"))
    expect(first.get_by_role("heading")).to_be_focused()
    press(inbox, first.get_by_role("button", name="Claim"))
    # What came in the place of the button has the focus.
    expect(first.get_by_role("button", name="Release")).to_be_focused()
    inbox.keyboard.press("Enter")
    expect(first.get_by_role("button", name="Claim")).to_be_focused()
    press(inbox, first.get_by_role("button", name="Reject"))
    expect(inbox.locator(".entry")).to_have_count(2)
    expect(inbox.get_by_role("heading", name="Give ann 2 days off?")).to_be_focused()
    expect(page.locator("#items .text")).to_have_text("no.")
    entry(inbox, "2 days").get_by_role("button", name="Reject").focus()
    other = open_page("/inbox/", user="user0", viewport=NARROW)
    until_connected(other)
    entry(other, "2 days").locator(".permanent").click()
    entry(other, "2 days").get_by_role("button", name="Approve").click()
    # The open question stays with its outcome, until its reader moves on.
    expect(entry(inbox, "2 days").locator(".outcome")).to_contain_text("user0")
    inbox.wait_for_timeout(500)
    press(inbox, entry(inbox, "2 days").get_by_role("button", name="Next question"))
    expect(inbox.locator(".entry")).to_have_count(1)
    expect(inbox.get_by_role("heading", name="Give ann 3 days off?")).to_be_focused()
    press(inbox, inbox.get_by_role("button", name="Approve"))
    expect(inbox.locator("#entries")).to_be_focused()
    expect(inbox.locator(".empty")).to_be_visible()


def press(page: Page, button: Locator) -> None:
    """Go there by the tab key, once it takes a press, and press it."""
    expect(button).to_be_enabled()
    for _ in range(60):
        page.keyboard.press("Tab")
        if button.evaluate("each => each === document.activeElement"):
            break
    expect(button).to_be_focused()
    expect(button).to_be_enabled()
    page.keyboard.press("Enter")


def seen_texts(page: Page) -> list[str]:
    """Return the texts that the browser shows, those of the style sheet among them."""
    tree = page.context.new_cdp_session(page).send("Accessibility.getFullAXTree")["nodes"]
    return [node["name"]["value"] for node in tree if node.get("role", {}).get("value") == TEXT]


@pytest.mark.slow
@pytest.mark.parametrize("script", [True, False])
def test_several_prompts_are_approved_at_once(
    open_page: OpenPage, server: Server, script: bool
) -> None:
    ask(server, "days=1", "days=2", "days=3", "kind='text'")
    inbox = open_page("/inbox/", user="ben", java_script_enabled=script, viewport=NARROW)
    bar = inbox.locator(".several")
    if script:
        until_connected(inbox)
        expect(bar).to_be_hidden()
    for words in ("1 days", "3 days"):
        entry(inbox, words).get_by_role("checkbox").check()
    if script:
        expect(bar).to_contain_text("2 selected")
        expect(bar).to_be_in_viewport(ratio=1)
        assert_looks_right(inbox, "ltr")
    bar.get_by_role("button", name="Approve").click()
    questions = inbox.get_by_role("listitem")
    expect(questions).to_contain_text(["Give ann 1 days off?", "Give ann 3 days off?"])
    if script:
        assert_looks_right(inbox, "ltr")
    questions.get_by_label("1 days").uncheck()
    assert "1" in seen_texts(inbox)  # on the button: how many are still chosen
    inbox.locator(".review").get_by_role("button", name="Approve").click()
    expect(inbox.locator(".notice")).to_have_text("1 answered.")
    expect(inbox.locator(".entry h2")).to_have_text(
        ["Give ann 1 days off?", "Give ann 2 days off?", "Why give them 3 days off?"]
    )


@pytest.mark.slow
def test_all_of_a_question_are_selected_at_once_and_one_left_out(
    open_page: OpenPage, server: Server
) -> None:
    ask(server, "days=1", "days=2", "days=3", "kind='text'")
    inbox = inbox_of(open_page, 4)
    selected = inbox.locator(".selected")
    everything = inbox.get_by_label("Select all 3")
    everything.check()
    expect(selected).to_have_text("3 selected")
    entry(inbox, "2 days").get_by_role("checkbox").uncheck()
    expect(selected).to_have_text("2 selected")
    expect(everything).not_to_be_checked()
    send_question(server, "days=4", name="4")  # one that comes meanwhile is not among them
    expect(inbox.locator(".entry")).to_have_count(5)
    expect(selected).to_have_text("2 selected")
    inbox.get_by_role("button", name="Clear").click()
    expect(inbox.locator(".several")).to_be_hidden()


@LONG_LISTS
@pytest.mark.slow
def test_more_prompts_than_fit_are_on_a_second_page(open_page: OpenPage, server: Server) -> None:
    ask(server, *(f"days={number}, due={60 + number}" for number in range(MOST + 2)))
    inbox = inbox_of(open_page, MOST)
    expect(inbox.locator("#count")).to_have_text(str(MOST + 2))
    expect(inbox.get_by_role("link", name="Back")).to_have_count(0)
    inbox.get_by_role("link", name="More").click()
    until_connected(inbox)
    headings = [f"Give ann {number} days off?" for number in (MOST, MOST + 1)]
    expect(inbox.locator(".entry h2")).to_have_text(headings)
    assert_looks_right(inbox, "ltr")
    # The next comes up to the first page when one of it is answered.
    inbox.get_by_role("link", name="Back").click()
    until_connected(inbox)
    inbox.locator(".permanent").first.click()
    card(inbox).first.get_by_role("button", name="Approve").click()
    expect(inbox.locator(".entry h2").last).to_have_text(headings[0])
    expect(inbox.locator(".entry")).to_have_count(MOST)


@LONG_LISTS
@pytest.mark.slow
def test_operators_see_all_columns_and_the_whole_title(open_page: OpenPage, server: Server) -> None:
    ask(server, "due=60", "days=20, votes=2", "kind='text'")
    page = inbox_of(open_page, 3)
    entry(page, "Give ann 3 days").locator(".permanent").click()
    entry(page, "Give ann 3 days").get_by_role("button", name="Approve").click()
    expect(page.locator(".entry")).to_have_count(2)
    admin = open_page("/admin/", user="admin", viewport={"width": 1280, "height": 800})
    right = "each => each.getBoundingClientRect().right"
    for name in ("conversation", "run", "interaction"):
        admin.goto(f"{server.url}/admin/sessions_app/{name}/")
        expect(admin.locator("#result_list tbody tr")).to_have_count(3)
        table, form = admin.locator("#result_list"), admin.locator("#changelist-form")
        assert table.evaluate(right) <= form.evaluate(right), name
    admin.get_by_role("link", name="Give ann 20 days off?").click()
    admin.set_viewport_size({"width": 768, "height": 800})
    title, tools = (admin.locator(each) for each in ("#content h1", ".object-tools"))
    expect(tools).to_be_visible()
    bottom, top = (f"each => each.getBoundingClientRect().{edge}" for edge in ("bottom", "top"))
    assert title.evaluate(bottom) <= tools.evaluate(top)

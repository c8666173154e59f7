"""The inbox on a screen that is wide enough for two panes: rows, the selected question, keys."""

import pytest
from playwright.sync_api import Page, expect

from tests.browser.chat_page import begin, card, until_connected
from tests.browser.look import assert_accessible
from tests.browser.reading.test_docking import IS_IN_SIGHT
from tests.inbox.people import make_group
from tests.inbox.test_looks import ask, entry
from tests.support.browser import OpenPage
from tests.support.polling import until
from tests.support.server import Server

pytestmark = pytest.mark.formless  # how pages look does not depend on where their rows are
LAYOUT = pytest.mark.beyond("titles and parts have their width, and a key's row is in sight")

WIDE = {"width": 1280, "height": 800}


@pytest.fixture
def inbox(open_page: OpenPage, server: Server) -> Page:
    make_group(server)
    page = open_page("/inbox/", user="ben", viewport=WIDE)
    until_connected(page)
    return page


@pytest.mark.slow
def test_keys_lead_through_the_rows_and_to_the_selected_card(inbox: Page, server: Server) -> None:
    ask(server, "days=1, due=60", "kind='text', days=2, due=90", "days=3")
    expect(inbox.locator(".entry")).to_have_count(3)
    shown = inbox.locator(".pane:visible h2")
    expect(shown).to_have_text("Give ann 1 days off?")
    for row in inbox.locator(".meta").all():
        assert row.evaluate("each => each.offsetHeight") == 48
    assert_accessible(inbox)
    inbox.keyboard.press("j")  # those that ask the same stand together
    expect(shown).to_have_text("Give ann 3 days off?")
    expect(entry(inbox, "3 days off").locator(".permanent").first).to_be_focused()
    inbox.keyboard.press("e")
    expect(inbox.locator(".mine:visible")).to_have_count(1)
    inbox.keyboard.press("x")
    expect(inbox.locator(".selected")).to_have_text("1 selected")
    inbox.keyboard.press("a")
    expect(inbox.locator(".several").get_by_role("button", name="Approve")).to_be_focused()
    inbox.keyboard.press("k")
    expect(shown).to_have_text("Give ann 1 days off?")
    inbox.keyboard.press("j")
    inbox.keyboard.press("j")
    inbox.keyboard.press("Enter")
    expect(shown).to_be_focused()
    inbox.keyboard.press("Tab")
    inbox.keyboard.type("jk?")
    expect(inbox.locator(".pane:visible textarea")).to_have_value("jk?")
    inbox.keyboard.press("Tab")
    inbox.keyboard.press("?")
    expect(inbox.locator("#help")).to_be_visible()
    assert_accessible(inbox)


@LAYOUT
@pytest.mark.slow
def test_the_parts_are_one_row_in_the_longest_words(open_page: OpenPage, server: Server) -> None:
    inbox = open_page("/inbox/", locale="de-DE", viewport={"width": 1024, "height": 768})
    parts = inbox.locator(".parts")
    expect(parts.locator("a").last).to_be_in_viewport(ratio=1)
    assert len({link.evaluate("each => each.offsetTop") for link in parts.locator("a").all()}) == 1
    assert parts.evaluate("each => each.scrollWidth <= each.clientWidth")


@pytest.mark.slow
def test_a_click_on_a_row_shows_its_card_and_an_answer_the_next(
    inbox: Page, server: Server
) -> None:
    ask(server, "days=1, due=60", "days=2, due=90", "days=3")
    expect(inbox.locator(".entry")).to_have_count(3)
    inbox.locator(".meta", has_text="2 days").click()
    shown = inbox.locator(".pane:visible h2")
    expect(shown).to_have_text("Give ann 2 days off?")
    inbox.locator(".pane:visible").get_by_role("button", name="Approve").click()
    expect(shown).to_have_text("Give ann 3 days off?")
    expect(shown).to_be_focused()
    inbox.locator(".pane:visible").get_by_role("button", name="Approve").click()
    expect(shown).to_have_text("Give ann 1 days off?")
    inbox.set_viewport_size({"width": 1000, "height": 800})
    expect(card(inbox)).to_be_hidden()
    inbox.locator(".permanent").click()
    expect(card(inbox)).to_be_visible()


@LAYOUT
@pytest.mark.slow
def test_the_row_that_a_key_leads_to_is_in_sight(inbox: Page, server: Server) -> None:
    inbox.set_viewport_size({"width": 1280, "height": 400})
    ask(server, *(f"days={n}, due={60 + n}" for n in range(8)))
    expect(inbox.locator(".entry")).to_have_count(8)
    rows = inbox.locator(".permanent")
    for key, order in (("j", range(1, 8)), ("k", range(6, -1, -1))):
        for number in order:
            inbox.keyboard.press(key)
            expect(rows.nth(number)).to_be_focused()
            assert rows.nth(number).evaluate(IS_IN_SIGHT), (key, number)


@pytest.mark.slow
def test_ten_of_thirty_questions_are_answered_by_keys(inbox: Page, server: Server) -> None:
    kinds = ("", ", kind='text'", ", votes=1")
    ask(server, *(f"days={n}{kinds[n % 3]}, due={600 + n}" for n in range(30)))
    expect(inbox.locator("#count")).to_have_text("30")
    expect(inbox.locator(".entry")).to_have_count(25)
    inbox.keyboard.press("j")
    inbox.keyboard.press("Enter")
    for _ in range(10):
        pane = inbox.locator(".pane:visible")
        expect(pane.locator("h2")).to_be_focused()
        question = pane.locator("h2").inner_text()
        expect(pane.locator(".buttons button").first).to_be_enabled()
        inbox.keyboard.press("Tab")
        if pane.locator("textarea").count():
            inbox.keyboard.type("because")
            inbox.keyboard.press("Tab")
        inbox.keyboard.press("Enter")
        expect(inbox.locator(".entry h2", has_text=question)).to_have_count(0)
    sql = "SELECT id FROM sessions_app_interaction WHERE status = 'answered'"
    assert len(until(lambda: server.rows(sql))) == 10


@LAYOUT
@pytest.mark.slow
def test_a_title_has_the_width_of_its_row_beside_what_happens_without_an_answer(
    inbox: Page, open_page: OpenPage
) -> None:
    inbox.set_viewport_size({"width": 1024, "height": 768})
    begin(open_page(None, user="ben"), "ask_destructive()", cards=1)
    title = inbox.locator(".meta .permanent")
    expect(title).to_have_text("OpenDelete the customer list?")
    assert title.evaluate("each => each.scrollWidth === each.clientWidth")
    expect(inbox.locator(".meta .deadline")).to_be_in_viewport(ratio=1)

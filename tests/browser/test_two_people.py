"""Two people in one browser: the page of the one sends nothing as the other."""

import pytest
from playwright.sync_api import Page, expect

from tests.browser.chat_page import (
    SEEN_AGAIN,
    begin,
    card,
    open_in_another_tab,
    say,
    sign_in,
    state,
    until_connected,
)
from tests.inbox.people import make_group, send_question
from tests.support.browser import Console, OpenPage
from tests.support.server import Server

pytestmark = pytest.mark.every_form("the runs may be hosted elsewhere", at_each_change=False)

OWNERS = (
    "SELECT u.username FROM sessions_app_run r JOIN sessions_app_conversation c"
    " ON c.id = r.conversation_id JOIN auth_user u ON u.id = c.owner_id"
)
ANSWERERS = (
    "SELECT u.username FROM sessions_app_interaction i JOIN auth_user u ON u.id = i.answered_by_id"
)
SECRET = 'echo("salary of ann: 4711")'


@pytest.fixture(autouse=True)
def _what_a_page_cannot_load(console: Console) -> None:
    console.allow("status of 409")


def expect_ben(page: Page) -> None:
    """Expect the page to say whose the browser is now, and to offer that person's page."""
    connection = page.locator("#connection")
    expect(connection).to_contain_text("ben is signed in now. Your draft is kept.")
    expect(connection.get_by_role("link", name="Reload")).to_be_visible()
    expect(page.locator("#alert")).to_contain_text("ben is signed in now.")


def owners(server: Server) -> list[str]:
    return [row["username"] for row in server.rows(OWNERS)]


@pytest.mark.slow
def test_what_one_has_not_sent_is_never_sent_by_the_other(page: Page, server: Server) -> None:
    begin(page, 'echo("first")', until="completed")
    server.kill()
    page.locator("#text").fill(SECRET)
    page.locator("#text").press("Enter")
    expect(page.locator("#progress")).to_contain_text("Will be sent when connected")
    sign_in(page, server, "ben")
    server.restart()
    other = open_in_another_tab(page)
    expect(other.locator("#text")).to_have_value("")  # of the draft nothing is shown
    say(other, 'echo("from ben")')
    state(other, "completed")
    expect_ben(page)
    expect(page.locator("#text")).to_have_value(SECRET)
    assert sorted(owners(server)) == ["ann", "ben"]

    sign_in(page, server, "ann")
    page.evaluate(SEEN_AGAIN)
    until_connected(page)
    expect(page.locator("#text")).to_have_value("")
    expect(page.locator(".user .bubble")).to_have_text(['echo("first")', SECRET])
    assert sorted(owners(server)) == ["ann", "ann", "ben"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("path", "signs_out"),
    [("/c/", True), ("/c/", False), ("/inbox/", False)],
    ids=["its socket closes", "it looks for news", "the inbox looks for news"],
)
def test_a_page_that_is_open_says_at_once_whose_the_browser_is(
    open_page: OpenPage, server: Server, path: str, signs_out: bool
) -> None:
    page = open_page(path)
    until_connected(page)
    if signs_out:
        page.locator("#text").fill(SECRET)
    sign_in(page, server, "ben")
    if signs_out:
        server.sign_out("ann")
    else:
        page.evaluate(SEEN_AGAIN)
    expect_ben(page)
    if signs_out:
        expect(page.locator("#text")).to_have_value(SECRET)
        page.get_by_role("link", name="Reload").click()
        until_connected(page)
        expect(page.locator("#chat")).to_have_attribute("data-user", "ben")
        expect(page.locator("#text")).to_have_value("")


@pytest.mark.slow
def test_an_answer_is_not_given_by_the_other(open_page: OpenPage, server: Server) -> None:
    make_group(server, people=("ann", "ben"))
    send_question(server)
    page = open_page("/inbox/")
    until_connected(page)
    expect(card(page)).to_have_count(1)
    server.kill()
    card(page).locator("button[class*=primary]").first.click()
    sign_in(page, server, "ben")
    server.restart()
    expect_ben(page)
    [interaction] = server.rows("SELECT status FROM sessions_app_interaction")
    assert interaction["status"] == "pending"
    sign_in(page, server, "ann")
    page.evaluate(SEEN_AGAIN)
    expect(card(page)).to_have_count(0)
    assert [row["username"] for row in server.rows(ANSWERERS)] == ["ann"]

"""Two people in one browser: the page of the one sends nothing as the other."""

import pytest
from playwright.sync_api import Page, expect

from tests.browser.chat_page import SEEN_AGAIN, begin, card, say, state, until_connected
from tests.inbox.people import make_group, send_question
from tests.support.browser import Console, OpenPage
from tests.support.server import Server

pytestmark = pytest.mark.every_form(reason="who owns what is stored where the runs are hosted")

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


def sign_in(page: Page, server: Server, person: str) -> None:
    """Have somebody signed in in the browser, as after a sign-in in another tab."""
    cookie = {"name": "sessionid", "value": server.cookies[person], "url": server.url}
    page.context.add_cookies([cookie])  # type: ignore[list-item] # a TypedDict there


def expect_ben(page: Page) -> None:
    """Expect the page to say whose the browser is now, and to offer that person's page."""
    connection = page.locator("#connection")
    expect(connection).to_contain_text("ben is signed in now. Your draft is kept.")
    expect(connection.get_by_role("link", name="Reload")).to_be_visible()
    expect(page.locator("#alert")).to_contain_text("ben is signed in now.")


def owners(server: Server) -> list[str]:
    """Return whose the stored runs are."""
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
    other = page.context.new_page()
    other.goto(page.url)
    until_connected(other)
    expect(other.locator("#text")).to_have_value("")  # of the draft nothing is shown
    say(other, 'echo("from ben")')
    state(other, "completed")
    expect_ben(page)
    expect(page.locator("#text")).to_have_value(SECRET)
    assert sorted(owners(server)) == ["ann", "ben"]

    sign_in(page, server, "ann")
    page.evaluate(SEEN_AGAIN)
    until_connected(page)
    expect(page.locator(".user .bubble")).to_have_text(['echo("first")', SECRET])
    assert sorted(owners(server)) == ["ann", "ann", "ben"]


@pytest.mark.slow
def test_a_page_that_is_open_says_at_once_whose_the_browser_is(page: Page, server: Server) -> None:
    begin(page, 'echo("first")', until="completed")
    page.locator("#text").fill(SECRET)
    sign_in(page, server, "ben")
    server.sign_out("ann")
    expect_ben(page)
    expect(page.locator("#text")).to_have_value(SECRET)
    page.get_by_role("link", name="Reload").click()
    until_connected(page)
    expect(page.locator("#chat")).to_have_attribute("data-user", "ben")
    expect(page.locator("#text")).to_have_value("")


@pytest.mark.slow
@pytest.mark.parametrize("path", ["/c/", "/inbox/"])
def test_a_request_in_the_name_of_the_other_is_noticed(
    open_page: OpenPage, server: Server, path: str
) -> None:
    page = open_page(path)
    until_connected(page)
    sign_in(page, server, "ben")
    page.evaluate(SEEN_AGAIN)  # it looks for news, while its socket is open
    expect_ben(page)


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


@pytest.mark.slow
def test_a_form_is_given_back_without_the_script(open_page: OpenPage, server: Server) -> None:
    page = open_page("/c/", java_script_enabled=False)
    page.locator("#text").fill(SECRET)
    sign_in(page, server, "ben")
    page.get_by_role("button", name="Send").click()
    expect(page.locator("main")).to_contain_text("ben has signed in in this browser")
    expect(page.locator("#typed")).to_have_value(SECRET)
    assert owners(server) == []

"""An open question that somebody else answers is not exchanged for another under the pointer."""

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.chat_page import until_connected
from tests.http.client import Http
from tests.inbox.people import make_group, name_user
from tests.inbox.test_looks import ask
from tests.inbox.test_phone import PHONE
from tests.support.browser import OpenPage
from tests.support.server import Server

pytestmark = pytest.mark.formless  # how pages look does not depend on where their rows are

WIDE: dict[str, Any] = {"viewport": {"width": 1280, "height": 800}}
BY_BEN = (
    "SELECT i.id FROM sessions_app_interaction i JOIN auth_user u ON u.id = i.answered_by_id"
    " WHERE u.username = 'ben'"
)


def answer_of_colleague(server: Server, page: Page) -> str:
    """Have a colleague answer the open question; return its id."""
    [open_] = page.locator(".entry:has(.pane:visible)").all()
    question = open_.get_attribute("data-id") or ""
    http = Http(server, "user0")
    assert http.form(f"/p/{question}/answer/", {"value": "yes"}).status == 303
    return question


def presses(page: Page, form: dict[str, Any]) -> Callable[[], None]:
    """Return a press where the button to approve is now, whatever will be there."""
    button = page.locator(".pane:visible").get_by_role("button", name="Approve")
    expect(button).to_be_enabled()
    box = button.bounding_box()
    assert box
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    if form is PHONE:
        return lambda: page.touchscreen.tap(x, y)
    page.mouse.move(x, y)
    return lambda: page.mouse.click(x, y)


def inbox_with_four(open_page: OpenPage, server: Server, form: dict[str, Any]) -> Page:
    make_group(server)
    name_user(server, "user0", "Uma", "Zero")
    page = open_page("/inbox/", user="ben", **form)
    until_connected(page)
    ask(server, *(f"days={number}, due={60 + number}" for number in range(1, 5)))
    expect(page.locator(".entry")).to_have_count(4)
    if form is PHONE:
        page.locator(".permanent").first.tap()
    return page


def press_for_a_second(page: Page, press: Callable[[], None]) -> None:
    for _ in range(20):
        press()
        page.wait_for_timeout(50)


FORMS = pytest.mark.parametrize("form", [WIDE, PHONE], ids=["desktop", "phone"])


@FORMS
@pytest.mark.slow
def test_presses_from_the_moment_of_the_answer_of_another_answer_no_other_question(
    open_page: OpenPage, server: Server, form: dict[str, Any]
) -> None:
    page = inbox_with_four(open_page, server, form)
    press = presses(page, form)
    answer_of_colleague(server, page)
    press_for_a_second(page, press)
    assert server.rows(BY_BEN) == []


@FORMS
@pytest.mark.slow
def test_open_question_stays_with_its_outcome_until_its_reader_moves_on(
    open_page: OpenPage, server: Server, form: dict[str, Any]
) -> None:
    page = inbox_with_four(open_page, server, form)
    press = presses(page, form)
    pane = page.locator(".pane:visible")
    question = pane.locator("h2").inner_text()
    answered = answer_of_colleague(server, page)
    expect(pane).to_contain_text("Uma Zero")
    press_for_a_second(page, press)
    expect(pane).to_contain_text(question)
    assert server.rows(BY_BEN) == []
    page.wait_for_timeout(500)  # a person who reads
    pane.get_by_role("button", name="Next question").click()
    expect(page.locator(f"#entry-{answered}")).to_have_count(0)
    expect(page.locator(".pane:visible h2")).not_to_have_text(question)
    pane.get_by_role("button", name="Approve").click()
    expect(page.locator(".entry")).to_have_count(2)
    assert len(server.rows(BY_BEN)) == 1


@pytest.mark.slow
def test_note_that_was_typed_stands_beside_the_outcome(open_page: OpenPage, server: Server) -> None:
    make_group(server)
    page = open_page("/inbox/", user="ben", **WIDE)
    until_connected(page)
    ask(server, "kind='text', days=1")
    page.locator(".pane:visible textarea").fill("Too dear for me")
    [open_] = page.locator(".entry:has(.pane:visible)").all()
    http = Http(server, "user0")
    http.form(f"/p/{open_.get_attribute('data-id')}/answer/", {"value": "Yes, do."})
    pane = page.locator(".pane:visible")
    expect(pane).to_contain_text("Yes, do.")
    expect(pane).to_contain_text("Too dear for me")
    expect(page.locator(".entry")).to_have_count(1)
    page.wait_for_timeout(500)
    pane.get_by_role("button", name="Next question").click()
    expect(page.locator(".entry")).to_have_count(0)

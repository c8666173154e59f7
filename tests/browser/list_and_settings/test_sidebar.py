"""The list of conversations in a browser: its menu by keys, on a small screen, without script."""

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.chat_page import (
    SEEN_AGAIN,
    begin,
    card,
    open_in_another_tab,
    say,
    state,
    until_connected,
)
from tests.browser.look import assert_accessible
from tests.http.client import Http
from tests.support.browser import OpenPage
from tests.support.server import Server

pytestmark = pytest.mark.formless  # how pages look does not depend on where their rows are
LONG_LISTS = pytest.mark.beyond("a long list and an open menu stay usable, and other tabs follow")


@pytest.mark.slow
def test_pending_questions_are_in_the_list_and_on_a_new_page(page: Page) -> None:
    begin(page, "We publish the list", workflow="parallel_review", cards=3)
    page.goto("/c/")
    until_connected(page)
    page.locator("#list summary").click()
    assert_accessible(page)
    expect(page.locator("#list .others")).to_have_text("+2")
    page.set_viewport_size({"width": 320, "height": 640})
    page.get_by_role("button", name="Conversations").click()
    assert_accessible(page)
    assert page.evaluate("document.getElementById('list').scrollWidth") <= 320
    page.keyboard.press("Escape")
    page.locator("#empty .elsewhere li a").first.click()
    expect(card(page)).to_have_count(3)


@LONG_LISTS
@pytest.mark.slow
def test_an_empty_page_is_read_from_its_beginning_and_the_message_of_another_tab_from_its_end(
    open_page: OpenPage,
) -> None:
    page = open_page("/c/", viewport={"width": 320, "height": 568})
    until_connected(page)
    expect(page.get_by_role("heading", name="What do you want to do?")).to_be_in_viewport()
    other = open_in_another_tab(page)
    other.locator("input[name=workflow][value=probe]").check()
    say(other, "stream(tokens=200, delay=0)")
    state(other, "completed")
    state(page, "completed")
    expect(page.locator("#items .text")).to_contain_text("t199")
    assert page.evaluate(
        "() => { const { scrollTop, clientHeight, scrollHeight } = document.getElementById("
        "'scroller'); return scrollHeight - clientHeight - scrollTop < 60; }"
    )


# Where the text of an element begins and ends, and the element.
TEXT_BOX = """each => {
  const range = document.createRange();
  range.selectNodeContents(each);
  const [text, box] = [range, each].map(one => one.getBoundingClientRect());
  return [text.left - box.left, box.right];
}"""


@pytest.mark.slow
def test_titles_are_plain_text_begin_in_one_line_and_take_the_room_of_a_menu_that_is_hidden(
    open_page: OpenPage, server: Server
) -> None:
    for number, text in enumerate(
        ("Use `format` for **all**", "مرحبا", "2**3**4 and a long end " * 3)
    ):
        message = {"text": text, "workflow": "probe"}
        assert Http(server).form(f"/c/t{number}/messages/", message).status == 303
    page = open_page("/c/t1/")
    until_connected(page)
    titles = page.locator("#list .title")
    expect(titles.last).to_have_text("Use format for all")
    assert page.locator("#title").evaluate(TEXT_BOX)[0] < 1
    boxes = [title.evaluate(TEXT_BOX) for title in titles.all()]
    assert all(begin < 1 for begin, _ in boxes)
    expect(titles.first).to_contain_text("2**3**4")
    page.mouse.move(0, 0)
    titles.first.hover()
    left = page.locator("#list summary").first.evaluate("each => each.getBoundingClientRect().left")
    assert titles.first.evaluate(TEXT_BOX)[1] <= left < boxes[0][1]


@LONG_LISTS
@pytest.mark.slow
def test_of_many_conversations_that_need_the_person_five_are_shown_until_all_are_wanted(
    open_page: OpenPage, server: Server
) -> None:
    for number in range(1, 8):
        message = {"text": f"approve(count={number})", "workflow": "probe"}
        assert Http(server).form(f"/c/asks{number}/messages/", message).status == 303
    page = open_page("/c/")
    until_connected(page)
    rows = page.locator("#list li:visible")
    expect(rows).to_have_count(5)
    page.get_by_text("Show 2 more").click()
    expect(rows).to_have_count(7)
    begin(page.context.new_page(), 'echo("plum")', until="completed")
    page.evaluate(SEEN_AGAIN)
    expect(rows).to_have_count(8)  # the list has changed, and it stays open
    assert_accessible(page)
    page.get_by_text("Show 2 more").click()
    expect(rows).to_have_count(6)
    page.get_by_role("searchbox").fill("approve")
    expect(rows).to_have_count(7)
    page.locator("#list li > a").last.click()
    page.wait_for_url("**/c/asks*/")
    expect(page.locator("#list [aria-current]")).to_be_visible()


@LONG_LISTS
@pytest.mark.slow
def test_the_current_conversation_is_in_sight_in_the_list(
    open_page: OpenPage, server: Server
) -> None:
    for number in range(9):
        message = {"text": f"approve(count={number})", "workflow": "probe"}
        assert Http(server).form(f"/c/asks{number}/messages/", message).status == 303
    page = open_page(None, viewport={"width": 1280, "height": 480})
    begin(page, 'echo("one")')
    current = page.locator("#list [aria-current]")
    expect(current).to_contain_text('echo("one")')
    expect(current).to_be_in_viewport(ratio=0.9)
    page.reload()
    expect(current).to_be_in_viewport(ratio=0.9)
    page.set_viewport_size({"width": 390, "height": 480})
    page.reload()
    until_connected(page)
    page.get_by_role("button", name="Conversations").click()
    expect(current).to_be_in_viewport(ratio=0.9)


def row_of(page: Page, title: str) -> Locator:
    return page.locator("#list li", has_text=title)


def open_rename_field(page: Page, title: str) -> Locator:
    """Open the field of a title by keys."""
    row_of(page, title).locator("summary").focus()
    page.keyboard.press("Enter")
    row_of(page, title).get_by_role("link", name="Rename").press("Enter")
    field = page.locator("#list").get_by_role("textbox", name="Rename")
    expect(field).to_be_focused()
    return field


@LONG_LISTS
@pytest.mark.slow
def test_an_open_menu_stays_open_while_the_list_changes(open_page: OpenPage) -> None:
    page = open_page(None)
    begin(page, 'echo("plum")', until="completed")
    row_of(page, "plum").locator("summary").click()
    begin(page.context.new_page(), 'echo("two")')
    page.evaluate(SEEN_AGAIN)
    expect(page.locator("#list li")).to_have_count(2)
    expect(row_of(page, "plum").locator("details")).to_have_attribute("open", "")


@pytest.mark.slow
def test_a_title_is_changed_in_its_row_by_keys_or_left_as_it_is(open_page: OpenPage) -> None:
    page = open_page(None, viewport={"width": 320, "height": 640})
    begin(page, 'echo("plum")', until="completed")
    page.get_by_role("button", name="Conversations").click()
    field = open_rename_field(page, "plum")
    expect(field).to_have_value('echo("plum")')
    field.fill("nothing of this")
    field.press("Escape")
    expect(field).to_have_count(0)
    expect(row_of(page, "plum").locator("a").first).to_be_focused()
    field = open_rename_field(page, "plum")
    assert_accessible(page)
    field.fill("w" * 201)
    field.press("Enter")
    expect(page.locator("#list").get_by_role("alert")).to_contain_text("at most 200 are allowed")
    field.fill("Plums")
    field.press("Enter")
    expect(field).to_have_count(0)
    expect(row_of(page, "Plums")).to_have_count(1)
    expect(page.locator("#title")).to_have_text("Plums")


@LONG_LISTS
@pytest.mark.slow
def test_other_tabs_follow_a_new_title(open_page: OpenPage) -> None:
    page = open_page(None, viewport={"width": 320, "height": 640})
    begin(page, 'echo("plum")', until="completed")
    other = page.context.new_page()
    other.clock.install()
    other.goto(page.url)
    until_connected(other)
    page.get_by_role("button", name="Conversations").click()
    field = open_rename_field(page, "plum")
    field.fill("Plums <b>& pears</b> " + "w" * 150)
    field.press("Enter")
    expect(page.locator("#title")).to_contain_text("Plums <b>& pears</b>")
    expect(page).to_have_title(re.compile("^Plums <b>& pears</b>"))
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    other.clock.run_for(21_000)  # it looks every 20 seconds
    expect(other.locator("#title")).to_contain_text("Plums")
    expect(other).to_have_title(re.compile("^Plums"))

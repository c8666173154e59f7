"""Deleting a conversation in a browser: undone by keys, told to other tabs, without script."""

import pytest
from playwright.sync_api import expect

from tests.browser.chat_page import (
    SEEN_AGAIN,
    begin,
    card,
    open_in_another_tab,
    state,
    until_connected,
)
from tests.browser.look import assert_accessible
from tests.support.browser import Console, OpenPage

pytestmark = [
    pytest.mark.slow,
    pytest.mark.formless,  # how pages look does not depend on where their rows are
]


def test_a_conversation_is_deleted_by_keys_and_had_back(open_page: OpenPage) -> None:
    page = open_page(None, viewport={"width": 320, "height": 640})
    begin(page, 'echo("plum")', until="completed")
    page.goto("/c/")
    until_connected(page)
    page.get_by_role("button", name="Conversations").click()
    page.locator("#list summary").focus()
    page.keyboard.press("Enter")
    page.locator("#list").get_by_role("button", name="Delete").press("Enter")
    row = page.locator("#list li")
    expect(row).to_have_text("Deleted. Undo")
    expect(page.locator("#list .empty")).to_be_visible()  # the list has come anew
    expect(row.get_by_role("button", name="Undo")).to_be_focused()
    assert_accessible(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    page.keyboard.press("Enter")
    expect(row).to_contain_text('echo("plum")')
    expect(row).to_have_count(1)


@pytest.mark.beyond("other tabs show a deletion, and offer its undo")
def test_other_tabs_show_the_deletion_keep_their_drafts_and_offer_undo(
    open_page: OpenPage, console: Console
) -> None:
    console.allow("status of 404")
    page = open_page(None)
    begin(page, "approve(count=1)", cards=1)
    other = open_in_another_tab(page)
    other.locator("#text").fill("half a sent")
    elsewhere = open_in_another_tab(page, "/c/")
    expect(elsewhere).to_have_title("(1) Needs you – New conversation")
    page.locator("#list summary").click()
    page.get_by_role("button", name="Stop and delete").click()
    expect(page.get_by_role("heading")).to_have_text("This conversation is deleted")
    expect(other.get_by_role("heading")).to_have_text("This conversation is deleted")
    expect(elsewhere).to_have_title("New conversation")
    assert_accessible(other)
    other.get_by_role("button", name="Undo").click()
    state(other, "cancelled")
    expect(other.locator("#text")).to_have_value("half a sent")
    expect(card(other)).to_have_count(0)
    expect(page.get_by_role("heading")).to_have_text("This conversation is deleted")
    page.evaluate(SEEN_AGAIN)
    expect(page.locator(".user .bubble")).to_have_text("approve(count=1)")

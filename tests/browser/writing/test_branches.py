"""Editing a message and trying an answer again: new branches, and the way back to the old ones."""

import pytest
from playwright.sync_api import Page, expect

from tests.browser.chat_page import (
    begin,
    card,
    open_in_another_tab,
    output_on_page,
    say,
    state,
    until_connected,
)
from tests.browser.look import assert_looks_right

pytestmark = pytest.mark.formless  # the views and the socket have tests in both


def bubbles(page: Page, *texts: str) -> None:
    expect(page.locator(".user .bubble")).to_have_text(list(texts))


def edit(page: Page, text: str, new: str) -> None:
    start_editing(page, text)
    page.locator("#text").fill(new)
    page.locator("#text").press("Enter")


def start_editing(page: Page, text: str) -> None:
    item = page.locator(".user", has=page.get_by_text(text, exact=True))
    item.get_by_role("link", name="Edit").click()
    expect(page.locator("#text")).to_have_value(text)


def versions(page: Page, *words: str) -> None:
    """Wait until the switches of the page say this."""
    switches = page.locator(".versions")
    expect(switches).to_have_count(len(words))
    for index, each in enumerate(words):
        expect(switches.nth(index)).to_contain_text(each)


def three_messages(page: Page) -> None:
    begin(page, 'echo("a")')
    say(page, 'echo("b")')
    say(page, 'echo("c")')
    state(page, "completed")
    expect(page.locator("#items .text")).to_have_count(3)


@pytest.mark.slow
def test_an_edited_message_takes_the_place_of_what_followed_which_can_be_gone_on_with(
    page: Page,
) -> None:
    three_messages(page)
    edit(page, 'echo("b")', 'echo("b2")')
    bubbles(page, 'echo("a")', 'echo("b2")')
    expect(page.locator("#text")).to_have_value("")
    expect(page.locator("#editing")).to_be_hidden()
    versions(page, "2 of 2")
    say(page, 'echo("d")')
    expect(page.locator("#items .text")).to_have_text(["a", "b2", "d"])
    page.reload()
    bubbles(page, 'echo("a")', 'echo("b2")', 'echo("d")')
    page.get_by_role("link", name="Earlier version").click()
    until_connected(page)
    bubbles(page, 'echo("a")', 'echo("b")', 'echo("c")')
    versions(page, "1 of 2")
    say(page, 'echo("e")')
    expect(page.locator("#items .text")).to_have_text(["a", "b", "c", "e"])
    assert "?" not in page.url
    page.reload()
    bubbles(page, 'echo("a")', 'echo("b")', 'echo("c")', 'echo("e")')


@pytest.mark.slow
def test_editing_a_message_withdraws_the_prompt_of_the_old_branch(page: Page) -> None:
    begin(page, "ask()", cards=1)
    edit(page, "ask()", 'echo("instead")')
    bubbles(page, 'echo("instead")')
    expect(card(page)).to_have_count(0)
    state(page, "completed")
    assert output_on_page(page) == "instead"


@pytest.mark.beyond("another tab shows a new branch, but stays on an older one")
@pytest.mark.slow
def test_another_tab_shows_the_new_branch_but_stays_on_an_older_one(page: Page) -> None:
    three_messages(page)
    other = open_in_another_tab(page)
    other.locator("#text").fill("a draft")
    edit(page, 'echo("b")', 'echo("b2")')
    bubbles(other, 'echo("a")', 'echo("b2")')
    expect(other.locator("#items .text")).to_have_text(["a", "b2"])
    expect(other.locator("#text")).to_have_value("a draft")
    other.get_by_role("link", name="Earlier version").click()
    until_connected(other)
    say(page, "stream(tokens=40, delay=0.02)")
    expect(page.locator("#items .text").last).to_contain_text("t39")
    state(other, "completed")
    bubbles(other, 'echo("a")', 'echo("b")', 'echo("c")')
    assert output_on_page(other) == "a b c"
    edit(page, 'echo("b2")', 'echo("b3")')
    versions(other, "1 of 3")
    bubbles(other, 'echo("a")', 'echo("b")', 'echo("c")')
    assert output_on_page(other) == "a b c"


@pytest.mark.slow
def test_editing_outlives_a_reload_and_brings_the_draft_back(page: Page) -> None:
    three_messages(page)
    page.locator("#text").fill("a draft")
    start_editing(page, 'echo("a")')
    expect(page.locator("#editing")).to_be_visible()
    page.locator("#text").press("Escape")
    expect(page.locator("#text")).to_have_value("a draft")
    expect(page.locator("#editing")).to_be_hidden()
    start_editing(page, 'echo("a")')
    start_editing(page, 'echo("b")')
    page.locator("#editing").get_by_role("link", name="Cancel").click()
    expect(page.locator("#text")).to_have_value("a draft")
    start_editing(page, 'echo("b")')
    page.locator("#text").fill('echo("b2")')
    page.reload()
    expect(page.locator("#editing")).to_be_visible()
    page.locator("#text").press("Enter")
    bubbles(page, 'echo("a")', 'echo("b2")')
    expect(page.locator("#text")).to_have_value("a draft")


@pytest.mark.slow
def test_an_answer_is_tried_again_and_its_versions_are_for_everyone(page: Page) -> None:
    word = "w" * 100
    begin(page, f"echo('{word}')", until="completed")
    for words in ("2 of 2", "3 of 3"):
        page.get_by_role("button", name="Try again").click()
        versions(page, words)
        bubbles(page, f"echo('{word}')")
        expect(page.locator("#items .text")).to_have_text([word])
    start_editing(page, f"echo('{word}')")
    assert_looks_right(page)

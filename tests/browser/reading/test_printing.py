"""A conversation on paper: all its messages, or a word that there are earlier ones."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.chat_page import begin, say, state, until_connected
from tests.support.browser import Console

pytestmark = [
    pytest.mark.slow,
    pytest.mark.formless,  # how pages print does not depend on where their rows are
]

ROUNDS = 30
# The texts that are out of the box of an element that hides what overflows it, or not drawn.
LOST = """() => [...document.querySelectorAll("#items .bubble, #items .body p")].filter((each) => {
  const box = each.getBoundingClientRect();
  if (!box.height || !each.checkVisibility()) return true;
  for (let around = each.parentElement; around; around = around.parentElement) {
    const { overflowY } = getComputedStyle(around);
    const outer = around.getBoundingClientRect();
    const isCut = box.bottom > outer.bottom + 1 || box.top < outer.top - 1;
    if (overflowY !== "visible" && around !== document.documentElement && isCut) return true;
  }
  return false;
}).length"""


def test_all_messages_are_printed_also_those_that_were_not_loaded(page: Page) -> None:
    begin(page, 'echo("answer 0")', until="completed")
    for number in range(1, ROUNDS):
        say(page, f'echo("answer {number}")')
        state(page, "completed")
    page.reload()
    until_connected(page)
    assert page.locator("#items .text").count() < ROUNDS
    pdf = page.pdf()
    answers = page.locator("#items .text .body").all_inner_texts()
    assert [text.strip() for text in answers] == [f"answer {number}" for number in range(ROUNDS)]
    expect(page.locator("#items .bubble")).to_have_count(ROUNDS)
    page.emulate_media(media="print")
    assert page.evaluate(LOST) == 0
    expect(
        page.locator("#composer, #sidebar, #newer, #items .edit").filter(visible=True)
    ).to_have_count(0)
    height = page.evaluate("document.documentElement.scrollHeight")
    assert len(re.findall(rb"/Type /Page\b", pdf)) >= height // 1400


def test_the_paper_says_that_there_are_earlier_messages(page: Page, console: Console) -> None:
    console.allow("net::ERR_FAILED")
    begin(page, 'echo("one")', until="completed")
    say(page, "step(count=60)")
    state(page, "completed")
    page.reload()
    until_connected(page)
    page.route("**/items/?before=*", lambda route: route.abort())
    page.emulate_media(media="print")
    expect(page.get_by_text("Earlier messages are not printed.")).to_be_visible()
    expect(page.get_by_role("link", name="Show earlier messages")).to_be_hidden()

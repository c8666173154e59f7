"""A page that the browser has translated: what is sent is what was written, and code stays."""

import pytest
from playwright.sync_api import Page, expect

from tests.browser.chat_page import begin, until_connected

pytestmark = [
    pytest.mark.slow,
    pytest.mark.formless,  # what the page does is the same
]
# As browsers do it: words are put into elements of their own, except where `translate` says no.
TRANSLATE = """() => {
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    const found = [];
    while (texts.nextNode()) found.push(texts.currentNode);
    for (const text of found) {
        if (!text.data.trim() || !text.parentElement.translate) continue;
        const translated = document.createElement("font");
        translated.textContent = text.data.replace(/\\p{L}/gu, "ñ");
        text.replaceWith(translated);
    }
}"""


def test_edits_and_starters_have_what_was_written_and_code_stays_as_it_is(page: Page) -> None:
    text = 'echo("Run `rm -r old` now")'
    begin(page, text, until="completed")
    page.evaluate(TRANSLATE)
    answer = page.locator("#items .text .body")
    expect(answer).to_contain_text("ñññ rm -r old ñññ")
    page.locator(".user .bubble").hover()
    page.locator("a.edit").click()
    expect(page.locator("#text")).to_have_value(text)
    page.goto("/c/")
    until_connected(page)
    starter = page.locator(".starters button").first
    words = starter.inner_text()
    page.evaluate(TRANSLATE)
    expect(starter).not_to_have_text(words)
    starter.click()
    expect(page.locator(".user .bubble")).to_have_text(words)

"""Tests that all that a card shows fits on the smallest screen, on each page that has cards."""

import pytest
from playwright.sync_api import Page, expect

from tests.browser.chat_page import begin, card, until_connected
from tests.support.browser import OpenPage
from tests.support.server import Server

pytestmark = pytest.mark.formless  # how pages look does not depend on where their rows are

# What sticks out of the page, of its scroller or of its card, but for what scrolls by itself.
TOO_WIDE = """() => {
  const scrolls = (each) => each.closest(".unseen, pre, .wide, textarea, select");
  const wide = [...document.querySelectorAll("prompt-card *")].filter((each) => {
    const { right, width } = each.getBoundingClientRect();
    const most = each.closest("prompt-card").getBoundingClientRect().right;
    return width && right > most + 1 && !scrolls(each.parentElement) && !each.matches(".unseen");
  });
  const roots = [document.documentElement, document.getElementById("scroller")];
  const out = roots.filter((each) => each && each.scrollWidth > each.clientWidth);
  return [...out, ...wide].map((each) => `${each.outerHTML.slice(0, 120)} ${each.scrollWidth}`);
}"""


def assert_fits(page: Page) -> None:
    for width in (320, 390):
        page.set_viewport_size({"width": width, "height": 844})
        assert page.evaluate(TOO_WIDE) == [], f"{page.url} at {width}"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "count"), [("ask_with_long_words()", 16), ("ask_with_long_words(together=True)", 1)]
)
def test_every_type_of_prompt_fits(
    page: Page, open_page: OpenPage, server: Server, words: str, count: int
) -> None:
    begin(page, words, until="needs-you")
    expect(card(page)).to_have_count(count)
    if count > 1:
        page.locator("prompt-card:not([data-folded]) [data-all]").click()
    assert_fits(page)
    page.goto("/inbox/")
    until_connected(page)
    expect(page.locator("prompt-card:not([data-folded])")).to_have_count(count)
    assert_fits(page)
    plain = open_page("/inbox/", java_script_enabled=False)
    for link in page.locator(".permanent").all():
        plain.goto(str(link.get_attribute("href")))
        expect(card(plain)).to_have_count(1)
        assert_fits(plain)

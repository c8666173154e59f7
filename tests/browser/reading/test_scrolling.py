"""Above the end of the transcript: nothing moves, what comes is told, what was before is loaded."""

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.chat_page import AT_REST, begin, open_new, state, until_connected
from tests.support.browser import Console
from tests.support.polling import until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.formless,  # how the page scrolls does not depend on where its rows are
]

PLACE = "each => each.getBoundingClientRect().top"
FRAMES = """() => new Promise(
  (done) => requestAnimationFrame(() => requestAnimationFrame(done)))"""
AT_END = "each => each.scrollHeight - each.scrollTop - each.clientHeight < 2"
SEEN = """() => {
  const top = document.getElementById("scroller").getBoundingClientRect().top;
  return [...document.querySelectorAll("#items > *")].find(
    (item) => item.getBoundingClientRect().bottom > top).id;
}"""

# The block that stands in the middle, and where: not what it is part of, which may have its true
# height only later. The element itself may be put in anew as the run ends.
MIDDLE = """() => {
  const box = document.getElementById("scroller").getBoundingClientRect();
  const blocks = [...document.querySelectorAll("#items .body :is(h2, h3, h4, p, li, pre, tr)")];
  const middle = box.top + box.height / 2;
  const seen = blocks.find(
    (block) =>
      block.checkVisibility({ contentVisibilityAuto: true }) &&
      block.getBoundingClientRect().bottom > middle,
  );
  return [seen.textContent.trim().slice(0, 40), Math.round(seen.getBoundingClientRect().top)];
}"""


def scroller(page: Page) -> Locator:
    return page.locator("#scroller")


def scroll_up(page: Page, by: int) -> None:
    scroller(page).hover()
    before = scroller(page).evaluate("each => each.scrollTop")
    page.mouse.wheel(0, -by)
    until(lambda: scroller(page).evaluate("each => each.scrollTop") < before)
    page.evaluate(AT_REST)


def grow(page: Page) -> None:
    """Wait until more text has come."""
    height = scroller(page).evaluate("each => each.scrollHeight")
    grown = "(each, height) => each.scrollHeight > height + 300"
    until(lambda: scroller(page).evaluate(grown, height))


def assert_in_order(page: Page, count: int) -> None:
    """Wait until so many items are there, and look that each is there once, in the log's order."""
    expect(page.locator("#items > *")).to_have_count(count)
    firsts = page.eval_on_selector_all("#items > *", "all => all.map(e => Number(e.dataset.first))")
    assert firsts == sorted(set(firsts))


def test_new_text_is_announced_to_a_reader_above_without_scrolling(page: Page) -> None:
    newer = page.get_by_role("button", name="New text")
    begin(page, "report(characters=6000, tokens=20_000, delay=0.005)")
    expect(newer).not_to_be_visible()
    # All that comes at once is there: the last of it is drawn anew as it grows.
    expect(page.get_by_role("heading", name="Part 13", exact=True)).to_have_count(1)
    until(lambda: scroller(page).evaluate("each => each.scrollTop > 900"))
    scroll_up(page, 600)
    expect(newer).to_be_visible()
    seen, top = page.evaluate(MIDDLE)
    grow(page)
    assert page.evaluate(MIDDLE) == [seen, pytest.approx(top, abs=2)]  # parts of a pixel add up
    newer.click()
    expect(newer).not_to_be_visible()
    expect(scroller(page)).to_be_focused()
    until(lambda: scroller(page).evaluate(AT_END))
    grow(page)
    until(lambda: scroller(page).evaluate(AT_END))
    page.get_by_role("button", name="Stop").click()
    state(page, "cancelled")
    until(lambda: scroller(page).evaluate(AT_END))
    expect(newer).not_to_be_visible()


def test_the_new_text_button_disappears_at_the_end(page: Page) -> None:
    newer = page.get_by_role("button", name="New text")
    begin(page, "report(characters=6000, tokens=300, delay=0.005)")
    until(lambda: scroller(page).evaluate("each => each.scrollTop > 900"))
    scroll_up(page, 600)
    expect(newer).to_be_visible()
    scroller(page).focus()
    page.keyboard.press("End")
    expect(newer).not_to_be_visible()


def run_steps(page: Page, count: int) -> None:
    """Begin a conversation of so many steps, and wait until its run ended.

    Its message is not waited for: a page that opens after the run shows only the last items.
    """
    open_new(page)
    page.locator("#text").fill(f"step(count={count})")
    page.locator("#text").press("Enter")
    state(page, "completed")


def test_earlier_items_load_while_scrolling_up_without_moving_the_page(page: Page) -> None:
    run_steps(page, 120)
    page.reload()
    until_connected(page)
    items = page.locator("#items > *")
    before = items.count()
    assert before <= 50
    assert scroller(page).evaluate(AT_END)
    moves = []
    while page.locator("#older a").count():
        count = items.count()
        for place in (900, 40):  # as a person scrolls: not all at once
            scroller(page).evaluate("(each, place) => { each.scrollTop = place; }", place)
            page.evaluate(FRAMES)
        visible_item = page.locator(f"#{page.evaluate(SEEN)}")
        place = visible_item.evaluate(PLACE)
        until(lambda count=count: items.count() > count)  # type: ignore[misc] # a default
        page.evaluate(AT_REST)
        assert items.count() - count <= 100
        moves.append(abs(visible_item.evaluate(PLACE) - place))
    assert len(moves) > 1
    assert max(moves) < 2, moves
    assert_in_order(page, 242)


@pytest.mark.beyond("earlier items that fail to load can be retried")
def test_earlier_items_that_fail_to_load_can_be_retried_and_fill_a_higher_page(
    page: Page, console: Console
) -> None:
    console.allow("net::ERR_FAILED")
    run_steps(page, 40)
    page.reload()
    until_connected(page)
    page.route("**/items/?before=*", lambda route: route.abort())
    scroller(page).evaluate("each => { each.scrollTop = 0; }")
    expect(page.locator("#alert")).to_contain_text("Earlier messages could not be loaded.")
    page.unroute("**/items/?before=*")
    page.get_by_role("link", name="Show earlier messages").click()
    assert_in_order(page, 82)
    page.set_viewport_size({"width": 1280, "height": 6000})
    page.reload()
    expect(page.locator("#items > *")).to_have_count(82)


SIDE = """(each) => {
  const text = document.createRange();
  text.selectNodeContents(each);
  const found = text.getBoundingClientRect(), around = each.getBoundingClientRect();
  return found.left - around.left < around.right - found.right ? "left" : "right";
}"""
HEBREW = "\u05e9\u05dc\u05d5\u05dd"
ARABIC = "\u0645\u0631\u062d\u0628\u0627"


def test_each_text_has_the_direction_of_its_script(page: Page) -> None:
    table = f"| {ARABIC} | b |\n|---|---|\n| {ARABIC} | 2 |"
    text = f"# {HEBREW}\n\n{HEBREW} `x = 1`\n\nhello\n\n- {ARABIC}\n\n{table}\n\n- one"
    begin(page, f"echo({text!r})", until="completed")
    expect(page.locator("#items .bubble")).to_have_css("unicode-bidi", "plaintext")
    body = page.locator("#items .text .body")
    side = {
        each: body.locator(each).first.evaluate(SIDE) for each in ("h2", "p", "p >> nth=1", "li")
    }
    assert side == {"h2": "right", "p": "right", "p >> nth=1": "left", "li": "right"}
    expect(body.locator("ul").first).to_have_css("direction", "rtl")
    expect(body.locator("ul").last).to_have_css("direction", "ltr")
    expect(body.locator("table")).to_have_css("direction", "rtl")
    expect(body.locator("p code")).to_have_css("direction", "ltr")

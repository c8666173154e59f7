"""The end of a growing text is followed until the person looks elsewhere, by whatever means."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser.chat_page import AT_REST, begin, open_new, state
from tests.support.browser import OpenPage
from tests.support.polling import until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.formless,  # how the page scrolls does not depend on where its rows are
]

PHONE = {"viewport": {"width": 390, "height": 700}, "has_touch": True, "is_mobile": True}
WIDE = {"viewport": {"width": 1280, "height": 720}}
PACES = {"quick": "tokens=20_000, delay=0.005", "slow": "tokens=20_000, delay=0.05"}

PLACE = """() => {
  const box = document.getElementById("scroller");
  return [box.scrollTop, box.scrollHeight - box.clientHeight - box.scrollTop, box.scrollHeight];
}"""


def place(page: Page) -> tuple[float, float, float]:
    """Return the scroll position, the pixels below the view, and the height of the content."""
    at, below, height = page.evaluate(PLACE)
    return at, below, height


def wheel(page: Page, by: float) -> None:
    page.locator("#scroller").hover()
    page.mouse.wheel(0, by)


def drag(page: Page, by: int) -> None:
    """Drag with a finger, with touch events as of the screen."""
    box = page.locator("#scroller").bounding_box()
    assert box
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    session = page.context.new_cdp_session(page)

    def touch(kind: str, *points: dict[str, float]) -> None:
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": list(points)})

    touch("touchStart", {"x": x, "y": y})
    for step in range(1, 9):
        touch("touchMove", {"x": x, "y": y + by * step / 8})
    touch("touchEnd")


def press(page: Page, key: str) -> None:
    page.locator("#scroller").focus()
    page.keyboard.press(key)


Act = Callable[[Page], object]
WIDE_SIGNS: dict[str, Act] = {
    "a step of a wheel": lambda page: wheel(page, -30),
    "a larger step of a wheel": lambda page: wheel(page, -60),
    "a trackpad": lambda page: wheel(page, -2.5),
    "the key ArrowUp": lambda page: press(page, "ArrowUp"),
    "the key PageUp": lambda page: press(page, "PageUp"),
    "the key Home": lambda page: press(page, "Home"),
    "Shift and the space bar": lambda page: press(page, "Shift+Space"),
    "the focus": lambda page: page.locator("#items pre").first.focus(),
    "a search, or the scrollbar": lambda page: page.evaluate("scroller.scrollTop -= 30"),
    "a selection": lambda page: page.locator("#items p").last.dblclick(),
}
PHONE_SIGNS: dict[str, Act] = {
    f"a finger by {by} px": lambda page, by=by: drag(page, by)  # type: ignore[misc] # a default
    for by in (40, 150, 300)
}


def begin_long(open_page: OpenPage, pace: str, **size: object) -> Page:
    """Open a page on which a text grows that is higher than the page."""
    page = open_page(None, **size)
    open_new(page)
    page.locator("#text").fill(f"report(characters=6000, {PACES[pace]})")
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_role("heading", name="Part 13", exact=True)).to_have_count(1)
    until(lambda: place(page)[0] > 900 and place(page)[1] < 2)
    return page


def grow(page: Page) -> None:
    """Wait until a few lines more have come; the browser only estimates the height of parts that
    are far above, so that the whole may get lower meanwhile.
    """
    lowest = place(page)[2]

    def has_grown() -> bool:
        nonlocal lowest
        height = place(page)[2]
        lowest = min(lowest, height)
        return height > lowest + 30

    until(has_grown)


def stop(page: Page) -> None:
    page.get_by_role("button", name="Stop").click()
    state(page, "cancelled")


@pytest.mark.parametrize("pace", PACES)
@pytest.mark.parametrize(
    ("size", "signs"), [(WIDE, WIDE_SIGNS), (PHONE, PHONE_SIGNS)], ids=["wide", "phone"]
)
def test_the_first_sign_of_looking_elsewhere_ends_the_following(
    open_page: OpenPage, pace: str, size: dict[str, object], signs: dict[str, Act]
) -> None:
    page = begin_long(open_page, pace, **size)
    newer = page.get_by_role("button", name="New text")
    for sign, act in signs.items():
        act(page)
        expect(newer, sign).to_be_visible()  # the browser has taken the event, and text has come
        page.evaluate(AT_REST)
        at = place(page)[0]
        grow(page)
        assert place(page)[0] < at + 2, sign  # a finger's fling may go further up
        expect(newer, sign).to_be_visible()
        newer.click()
        expect(newer, sign).to_be_hidden()
        grow(page)
        until(lambda: place(page)[1] < 2)
    stop(page)


def test_the_end_is_followed_again_once_the_person_is_back_there(open_page: OpenPage) -> None:
    page = begin_long(open_page, "quick", **WIDE)
    newer = page.get_by_role("button", name="New text")
    for back in (lambda: press(page, "End"), lambda: wheel(page, 9000)):
        wheel(page, -400)
        expect(newer).to_be_visible()
        page.evaluate(AT_REST)
        wheel(page, 20)  # down, but not to the end
        page.evaluate(AT_REST)
        grow(page)
        expect(newer).to_be_visible()
        assert place(page)[1] > 30
        until(lambda back=back: back() or newer.is_hidden())  # type: ignore[misc] # a default
        grow(page)
        until(lambda: place(page)[1] < 2)
        expect(newer).to_be_hidden()
    stop(page)


SELECT = """([start, end]) => {
  const texts = document.createTreeWalker(document.querySelector("#items .open p"), 4);
  const nodes = [];
  while (texts.nextNode()) nodes.push(texts.currentNode);
  const at = (offset) => {
    for (const node of nodes) {
      if (offset <= node.length) return [node, offset];
      offset -= node.length;
    }
  };
  const length = nodes.reduce((total, node) => total + node.length, 0);
  getSelection().setBaseAndExtent(...at(start), ...at(end < 0 ? length + end + 1 : end));
  return getSelection().toString();
}"""


@pytest.mark.parametrize("part", [[3, 12], [3, -1], [-1, 3]], ids=["within", "to its end", "back"])
def test_a_selection_in_the_paragraph_being_written_is_kept(page: Page, part: list[int]) -> None:
    begin(page, "stream(tokens=2000, delay=0.02)")
    paragraph = page.locator("#items .open p")
    expect(paragraph).to_contain_text("t20 ")
    if part[0] < 0:
        part = [30, 3]  # as one selects from the right to the left
    selected = page.evaluate(SELECT, part)
    assert len(selected) > 8
    for number in (40, 80):
        expect(paragraph).to_contain_text(f"t{number} ")
        kept = page.evaluate("getSelection().toString()")
        assert kept.rstrip() == selected.rstrip()  # rendering drops a space at the end of a text
    stop(page)


def test_a_selection_is_kept_as_its_paragraph_ends_and_others_follow(page: Page) -> None:
    begin(page, "report(characters=60, tokens=20_000, delay=0.01)")
    expect(page.locator("#items .open p")).to_contain_text("What follows")
    selected = page.evaluate(SELECT, [3, 12])
    expect(page.get_by_role("heading", name="Part 3", exact=True)).to_have_count(1)
    assert page.evaluate("getSelection().toString()") == selected
    page.evaluate("getSelection().removeAllRanges()")
    stop(page)
    headings = page.locator("#items .body h3, #items .body h2").all_text_contents()
    assert headings == [f"Part {number}" for number in range(1, len(headings) + 1)]

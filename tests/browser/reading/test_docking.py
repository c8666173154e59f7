"""A question at its place in the transcript: in sight, out of sight, and on short screens."""

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.chat_page import (
    answer,
    begin,
    card,
    open_in_another_tab,
    say,
    state,
    until_connected,
)
from tests.support.browser import OpenPage
from tests.support.polling import until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.formless,  # how pages look does not depend on where their rows are
]

# Twice the size, and over a keyboard; a phone over its keyboard.
MORE_SIZES = pytest.mark.beyond("controls are in sight on screens of more sizes")
MOVES = pytest.mark.beyond("a docked card that moves or gets lower disturbs nobody")
SHORT = [
    (320, 256),
    pytest.param(390, 380, marks=MORE_SIZES),
    pytest.param(640, 400, marks=MORE_SIZES),
    pytest.param(640, 256, marks=MORE_SIZES),
]
IS_IN_SIGHT = """control => {
  const box = control.getBoundingClientRect();
  const at = document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2);
  return box.top >= 0 && box.bottom <= innerHeight && control.contains(at);
}"""

TWO_FRAMES = "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
SCROLL_UP = f"scroller.scrollTop = 0; {TWO_FRAMES}.then(() => !scroller.scrollTop)"

# As a card stands whose place in the transcript has not come yet.
BEFORE_ITS_PLACE = """() => {
  const card = [...document.querySelectorAll("prompt-card")].at(-1);
  const place = document.createElement("div");
  place.className = "place";
  place.append(card);
  document.getElementById("dock").append(place);
  card.querySelector("[data-next], h2").click();
  card.querySelector("h2").focus();
}"""

# As a question comes that is asked between the server's look at the log and that at what waits. The
# next load, which has its place, comes once `letIn` is called.
WITHOUT_ITS_PLACE = """() => {
  const { fetch } = window;
  const parse = DOMParser.prototype.parseFromString;
  let gate = null;
  window.fetch = async (url, options) => {
    if (String(url).includes("/items/")) await gate;
    return fetch(url, options);
  };
  DOMParser.prototype.parseFromString = function (...parameters) {
    const parsed = parse.apply(this, parameters);
    const item = !gate && parsed.querySelector(".question:has(prompt-card)");
    if (item) {
      gate = new Promise((resolve) => { window.letIn = resolve; });
      const place = parsed.createElement("div");
      place.className = "place";
      place.append(item.firstElementChild);
      parsed.querySelector("[data-part=dock]").append(place);
      item.remove();
      parsed.body.firstElementChild.dataset.last = item.dataset.first - 1;
    }
    return parsed;
  };
}"""

CLOSED_AS_IT_OPENS = """() => {
  window.closedAsItOpens = [];
  new MutationObserver((records) => {
    for (const { target } of records.filter(({ target }) => !target.matches("[data-folded]"))) {
      const buttons = [...target.querySelectorAll(".buttons button")];
      window.closedAsItOpens.push(buttons.every((each) => each.ariaDisabled === 'true'));
    }
  }).observe(document.getElementById("items"), { attributeFilter: ["data-folded"], subtree: true });
}"""


def in_sight(control: Locator) -> bool:
    """Return whether a click in its middle would press it, and all of it is on the screen."""
    expect(control).to_be_enabled()
    return bool(control.evaluate(IS_IN_SIGHT))


def to_top(page: Page) -> None:
    """Scroll up until the page stays there.

    The page learns of it in the next frame only; news that comes before that shows the end again.
    """
    until(lambda: page.evaluate(SCROLL_UP))


@pytest.mark.parametrize(("width", "height"), SHORT)
def test_the_controls_of_each_question_are_in_sight_on_a_short_screen(
    open_page: OpenPage, width: int, height: int
) -> None:
    page = open_page(None, viewport={"width": width, "height": height})
    begin(page, "stream(tokens=300, delay=0.001)", until="completed")
    say(page, "approve(count=1)")
    for name in ("continue", "cancel"):
        assert in_sight(card(page).get_by_role("button", name=name))
    assert in_sight(page.locator("#text"))
    begin(page, "Release 2.0", workflow="parallel_review", cards=3)
    assert in_sight(card(page).first.get_by_role("button", name="Answer"))
    begin(page, "Dinner with a customer", workflow="expense_approval", cards=1)
    for kind in ("text", "dropdown", "radio", "checkbox"):
        form = page.locator(f"prompt-card form[data-type={kind}]")
        expect(form).to_have_count(1)
        assert in_sight(form.get_by_role("button", name="Answer"))
        expect(page.locator("#newer")).to_be_hidden()
        answer(form)
    begin(page, 'prompt(kind="details")')
    buttons = card(page).locator(".buttons")
    assert in_sight(buttons.get_by_role("button").first)
    height_of = "each => each.getBoundingClientRect().height"
    seen = page.locator("#scroller").evaluate(height_of) - buttons.evaluate(height_of)
    assert seen > (70 if width > height * 1.5 else 60)  # much of the question, beside them


HEIGHTS = "each => [each.clientHeight, each.querySelector('prompt-card').offsetHeight]"


@pytest.mark.parametrize(
    "spare", [0, *(pytest.param(n, marks=MORE_SIZES) for n in (-200, -30, 5, 20, 40))]
)
def test_the_title_is_in_sight_with_the_buttons_of_a_card_as_high_as_the_screen(
    page: Page, spare: int
) -> None:
    """`spare`: how many px the transcript is higher than the card."""
    begin(page, "stream(tokens=300, delay=0.001)", until="completed")
    say(page, 'prompt(kind="tool_call")')
    expect(card(page)).to_have_count(1)
    seen, height = page.locator("#scroller").evaluate(HEIGHTS)
    size = page.viewport_size
    assert size
    size["height"] += height + spare - seen
    page.set_viewport_size(size)
    page.wait_for_function(f"innerHeight === {size['height']}")
    shown = [card(page).locator("h2"), card(page).get_by_role("button", name="Approve")]
    for change in ("resized", "loaded", "typed"):
        if change == "loaded":
            page.reload()
            until_connected(page)
        elif change == "typed":
            page.locator("#text").fill("one\ntwo\nthree\nfour")
        page.evaluate(TWO_FRAMES)
        assert [in_sight(each) for each in shown] == [True, True], change
    to_top(page)
    page.locator("#text").fill("")
    page.evaluate(TWO_FRAMES)
    assert page.locator("#scroller").evaluate("each => each.scrollTop") == 0  # it was scrolled


def test_a_question_is_docked_while_its_place_is_out_of_sight(page: Page) -> None:
    begin(page, "stream(tokens=3000, delay=0)", until="completed")
    say(page, "ask()")
    expect(card(page)).not_to_have_attribute("data-docked", "")
    card(page).locator("textarea").fill("typed")
    to_top(page)
    expect(card(page)).to_have_attribute("data-docked", "")
    expect(card(page).locator("textarea")).to_be_focused()
    assert in_sight(card(page).get_by_role("button", name="Answer"))
    expect(page.locator("#stage").get_by_text("prompt-1")).to_have_count(1)  # it is said once
    card(page).get_by_role("link", name="Show").click()
    expect(card(page)).not_to_have_attribute("data-docked", "")
    expect(card(page).locator("textarea")).to_have_value("typed")


@MOVES
def test_a_docked_card_that_gets_lower_leaves_no_text_over_the_message_field(page: Page) -> None:
    begin(page, "stream(tokens=3000, delay=0)", until="completed")
    say(page, "ask()")
    to_top(page)
    expect(card(page)).to_have_attribute("data-docked", "")
    page.set_viewport_size({"width": 640, "height": 256})
    until(lambda: page.evaluate("scroller.getBoundingClientRect().bottom <= composer.offsetTop"))


def test_one_of_several_questions_is_open_and_its_answer_leads_on_to_the_next(page: Page) -> None:
    begin(page, "Release 2.0", workflow="parallel_review", cards=3)
    answers = card(page).get_by_role("button", name="Answer")
    expect(answers.filter(visible=True)).to_have_count(1)
    expect(card(page).first).to_contain_text("1 of 3")
    expect(card(page).first.locator(".deadline")).to_have_text("Auto-answers Abstain in 7 days")
    card(page).first.get_by_role("button", name="Next").click()
    expect(card(page).nth(1).locator("h2")).to_be_focused()
    expect(card(page).nth(1).get_by_role("radio").first).to_be_visible()
    expect(card(page).first.get_by_role("radio").first).not_to_be_visible()
    card(page).nth(1).get_by_role("button", name="Show all").click()
    expect(answers.filter(visible=True)).to_have_count(3)
    card(page).nth(1).get_by_role("button", name="Show all").click()
    expect(answers.filter(visible=True)).to_have_count(1)
    page.reload()
    until_connected(page)
    card(page).first.get_by_role("radio").nth(1).check()
    page.reload()
    until_connected(page)
    expect(card(page).first.get_by_role("radio").nth(1)).to_be_checked()
    page.evaluate(CLOSED_AS_IT_OPENS)
    for card_count in (3, 2, 1):
        expect(card(page)).to_have_count(card_count)
        card(page).first.get_by_role("radio").first.check()
        card(page).first.get_by_role("button", name="Answer").click()
        if card_count > 1:
            expect(card(page)).to_have_count(card_count - 1)
            expect(card(page).first.locator("h2")).to_be_focused()
    state(page, "completed")
    # The second click of a double click answers nothing.
    assert page.evaluate("() => window.closedAsItOpens") == [True, True]


@MOVES
def test_a_card_whose_place_comes_keeps_the_focus(page: Page) -> None:
    begin(page, "Release 2.0", workflow="parallel_review", cards=3)
    page.evaluate(BEFORE_ITS_PLACE)
    question = card(page).last.locator("h2")
    expect(question).to_be_focused()
    other = open_in_another_tab(page)
    card(other).first.get_by_role("radio").first.check()
    card(other).first.get_by_role("button", name="Answer").click()
    expect(card(page)).to_have_count(2)
    expect(page.locator("#dock prompt-card")).to_have_count(0)
    page.bring_to_front()
    expect(question).to_be_focused()


@MOVES
def test_a_card_whose_place_comes_moves_nothing_for_who_has_scrolled_up(page: Page) -> None:
    begin(page, "stream(tokens=3000, delay=0)", until="completed")
    page.evaluate(WITHOUT_ITS_PLACE)
    page.locator("#text").fill("ask()")
    page.locator("#text").press("Enter")
    expect(page.locator("#dock prompt-card")).to_have_count(1)
    page.evaluate(TWO_FRAMES)  # it has been brought in sight
    to_top(page)
    expect(card(page)).to_have_attribute("data-docked", "")
    page.evaluate("letIn()")
    expect(page.locator("#items prompt-card")).to_have_count(1)
    page.evaluate(TWO_FRAMES)
    assert page.locator("#scroller").evaluate("each => each.scrollTop") == 0


@pytest.mark.beyond("without the script all questions are open")
def test_without_the_script_all_questions_are_open(open_page: OpenPage, page: Page) -> None:
    begin(page, "Release 2.0", workflow="parallel_review", cards=3)
    plain = open_page(page.url, java_script_enabled=False)
    expect(card(plain).get_by_role("button", name="Answer").filter(visible=True)).to_have_count(3)
    card(plain).last.get_by_role("radio").first.check()
    card(plain).last.get_by_role("button", name="Answer").click()
    expect(card(plain)).to_have_count(2)

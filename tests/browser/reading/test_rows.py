"""The rows between answers: steps, and what can be done with an answer."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.chat_page import assert_page_is_log, begin, say, state, until_connected
from tests.browser.look import assert_accessible
from tests.support.server import Server

pytestmark = [
    pytest.mark.slow,
    pytest.mark.formless,  # how pages look does not depend on where their rows are
]


# The colours of the shades at the edges of a table, and of what it stands on.
SHADES = """body => {
  const table = document.createElement("div");
  table.setAttribute("role", "group");
  body.append(table);
  const shades = getComputedStyle(table).backgroundImage;
  table.remove();
  return [shades, getComputedStyle(body).backgroundColor];
}"""


@pytest.mark.beyond("steps are folded once they are done")
def test_three_steps_and_more_are_folded_once_they_are_done(page: Page, server: Server) -> None:
    begin(page, "step(count=1, seconds=1)")
    expect(page.locator(".step[data-state=in_progress]")).to_have_count(1)
    expect(page.locator("#state")).to_contain_text("Working: step")
    state(page, "completed")
    done = page.locator("#items > .step[data-state=complete] .step-state")
    expect(done).to_have_text(re.compile(r"done\s+1(\.\d)? s"))
    say(page, "agent(delay=0, seconds=0.2)")
    state(page, "needs-you")
    group = page.locator("#items > .steps")
    expect(group.locator("summary").first).to_have_text(re.compile(r"^3 steps · \d(\.\d)? s$"))
    expect(group.locator(".step").last).to_be_hidden()
    group.locator("summary").first.click()
    expect(group.locator(".step").last).to_be_visible()
    boxes = [step.bounding_box() for step in group.locator("> *").all()]
    edges = [edge for box in boxes if box for edge in (box["y"], box["y"] + box["height"])]
    assert edges == sorted(edges)  # none stands over another and takes its clicks
    shades, ground = group.locator(".body").first.evaluate(SHADES)
    assert ground in shades
    assert_accessible(page)
    page.reload()
    until_connected(page)
    expect(group.locator(".step")).to_have_count(3)
    expect(page.locator("#items > .step")).to_have_count(1)
    assert_page_is_log(page, server)


def test_the_icons_of_an_answer_stand_in_one_row_which_the_last_one_always_shows(
    page: Page,
) -> None:
    for text in ('echo("one")', 'echo("two")'):
        begin(page, text) if text == 'echo("one")' else say(page, text)
        state(page, "completed")
    page.locator("#text").hover()
    copies, thumbs = page.locator(".copy"), page.get_by_role("button", name="Good answer")
    for icons in (copies, thumbs):
        expect(icons.nth(0)).to_have_css("opacity", "0")
        expect(icons.nth(1)).to_have_css("opacity", "1")
    names = ("Copy the answer as Markdown", "Good answer", "Bad answer", "Try again")
    buttons = [page.get_by_role("button", name=name).last for name in names]
    boxes = [button.bounding_box() for button in buttons]
    middles = [box["y"] + box["height"] / 2 for box in boxes if box]
    assert max(middles) - min(middles) < 4
    lefts = [box["x"] for box in boxes if box]
    assert lefts == sorted(lefts)
    for button in buttons:
        assert button.evaluate(
            "each => { const { x, y, width, height } = each.getBoundingClientRect();"
            " return each.contains(document.elementFromPoint(x + width / 2, y + height / 2)); }"
        )
    expect(page.get_by_text("Comment", exact=True).last).to_be_hidden()
    thumbs.last.click()
    expect(page.get_by_label("Comment").last).to_be_visible()

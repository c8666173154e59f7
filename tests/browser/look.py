"""Faults in the look of any page: too wide, over another, or no good for some people."""

from typing import Literal

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from tests.support import polling

SCHEMES: list[Literal["dark", "light"]] = ["dark", "light"]
# Phones, a zoomed screen, a tablet, and a large screen.
SIZES = [(320, 568), (390, 844), (640, 400), (768, 740), (1920, 740)]
# Colours change over a moment, and are measured after it.
SETTLE = """Promise.allSettled(document.getAnimations()
    .filter(animation => animation instanceof CSSTransition).map(one => one.finished))"""
# What is wider than the screen, its box or its card, but for what scrolls by itself; what lies over
# its neighbour; and a conversation that is higher than the screen.
FAULTS = """() => {
  const faults = [];
  const box = (each) => each.getBoundingClientRect();
  const shown = (each) => each.checkVisibility() && box(each).width > 1;
  const say = (what, each) => faults.push(`${what}: ${each.outerHTML.slice(0, 120)}`);
  // A list of the admin scrolls by itself where it has the room for columns.
  const list = innerWidth < 500 ? ".results" : "#scroller";
  const roots = document.querySelectorAll(`html, #scroller, #dock, ${list}`);
  for (const each of roots)
    if (each.scrollWidth > each.clientWidth && shown(each)) say("wide", each);
  for (const each of document.querySelectorAll(".details"))
    if (each.scrollWidth > each.parentElement.clientWidth && shown(each)) say("wide", each);
  const scrolls = (each) => each.closest(".unseen, pre, .wide, textarea, select");
  for (const card of document.querySelectorAll("prompt-card"))
    for (const each of card.querySelectorAll(":not(.unseen)"))
      if (box(each).width && box(each).right > box(card).right + 1 && !scrolls(each.parentElement))
        say("out of its card", each);
  const rows = [...document.querySelectorAll(
    ".top > *, .top .heading > *, #composer .field > *, #state > *, #sidebar > *, #list li > *,"
    + " .buttons > *, prompt-card header > *",
  )].filter(shown);
  for (const each of rows) {
    const { left, right, top, bottom } = box(each);
    if (left < -1 || right > innerWidth + 1) say("out of the screen", each);
    for (const other of each.parentElement.children) {
      const its = box(other);
      const wide = Math.min(right, its.right) - Math.max(left, its.left);
      const high = Math.min(bottom, its.bottom) - Math.max(top, its.top);
      const isMenu = each.localName === "details" || other.localName === "details";
      if (other !== each && rows.includes(other) && wide > 1 && high > 1 && !isMenu)
        say("over another", each);
    }
  }
  const html = document.documentElement;
  if (document.getElementById("scroller") && html.scrollHeight > innerHeight) say("high", html);
  return faults;
}"""


def assert_fits(page: Page, *directions: str) -> None:
    """Check that nothing is too wide, or over another, on a screen of any size."""
    page.wait_for_load_state()  # with all its styles
    before = page.viewport_size
    for width, height in SIZES:
        page.set_viewport_size({"width": width, "height": height})
        for direction in directions or ("rtl", "ltr"):
            page.evaluate("direction => { document.dir = direction; }", direction)
            polling.until(  # scripts and transitions follow the size of the screen
                lambda: not page.evaluate(FAULTS),
                patience=5,
                otherwise=lambda: (page.url, page.viewport_size, page.evaluate(FAULTS)),
            )
    if before:
        page.set_viewport_size(before)


def assert_accessible(page: Page) -> None:
    """Check the page with axe in the dark and, at the end, in the light."""
    page.wait_for_load_state()  # with all its styles
    for scheme in SCHEMES:
        page.emulate_media(color_scheme=scheme)
        page.evaluate(SETTLE)
        results = Axe().run(page)
        assert results.violations_count == 0, f"{scheme}: {results.generate_report()}"


def assert_looks_right(page: Page, *directions: str) -> None:
    """Check the fit on all screens, and with axe on the screen as it is."""
    assert_fits(page, *directions)
    assert_accessible(page)

"""An answer that becomes long: what it costs the page does not grow with it."""

import pytest
from playwright.sync_api import CDPSession, Page, Response, expect

from tests.browser.chat_page import begin, say, state

# It is the script that is counted here, on a machine that it shares with all processes of a form.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.formless,
]
CATCHING_UP = 60_000  # ms

WATCH = """() => {
  window.longTasks = 0;
  new PerformanceObserver((list) => { window.longTasks += list.getEntries().length; })
    .observe({ type: "longtask" });
  window.frames_ = 0;
  const count = () => { window.frames_ += 1; requestAnimationFrame(count); };
  requestAnimationFrame(count);
}"""


# Bytes of one look at what is new.
BOUND = 16_000


def is_small(response: Response) -> bool:
    """Return whether it brought what is new of an answer, and no more."""
    return "/items/" in response.url and len(response.body()) < BOUND


def metrics(session: CDPSession) -> dict[str, float]:
    session.send("HeapProfiler.collectGarbage")
    counters = session.send("Performance.getMetrics")["metrics"]
    return {metric["name"]: metric["value"] for metric in counters}


@pytest.mark.beyond("the end of a long answer costs the page no more than its beginning")
def test_the_end_of_a_long_answer_costs_as_little_as_its_beginning(page: Page) -> None:
    begin(page, "report(characters=150000, tokens=4000, delay=0.005)")
    for _ in range(2):  # it has caught up
        with page.expect_response(is_small, timeout=CATCHING_UP):
            pass
    responses: list[Response] = []
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable")
    page.evaluate(WATCH)
    before = metrics(session)
    page.on("response", lambda response: responses.append(response))
    for _ in range(10):
        with page.expect_response(is_small, timeout=CATCHING_UP):
            pass
    after = metrics(session)
    long_tasks, frames = page.evaluate("() => [window.longTasks, window.frames_]")
    sizes = [len(each.body()) for each in list(responses) if "/items/" in each.url]
    assert 0 < max(sizes) < BOUND
    # Layout is read once for what came since the last frame.
    assert after["LayoutCount"] - before["LayoutCount"] <= frames + 3 * len(sizes)
    assert long_tasks * 10 < frames
    assert after["Nodes"] - before["Nodes"] < 5000
    assert page.locator("#items .text > .body > *").count() < 150
    assert page.locator("#items .text .tail").count() <= 1
    page.get_by_role("button", name="Stop").click()
    state(page, "cancelled")


RAW = """() => {
  window.raw = [];
  const marks = /\\*\\*|^#|^\\||```|\\]\\(|`/m;
  const look = () => {
    window.hadTail ||= document.querySelector("#items .tail") !== null;
    for (const body of document.querySelectorAll("#items .text .body")) {
      const copy = body.cloneNode(true);
      for (const code of copy.querySelectorAll("pre")) code.remove();
      const found = marks.exec(copy.textContent);
      if (found) window.raw.push(copy.textContent.slice(Math.max(0, found.index - 20)));
    }
  };
  new MutationObserver(look).observe(document.getElementById("items"), {
    subtree: true, childList: true, characterData: true,
  });
}"""


@pytest.mark.parametrize(
    "at_once",
    [
        pytest.param(0, id="from its beginning"),
        pytest.param(
            20_000,
            id="a long one",
            marks=pytest.mark.beyond("no mark of a long answer is shown before it is whole"),
        ),
    ],
)
def test_no_mark_is_shown_before_it_is_whole_and_a_reload_changes_nothing(
    page: Page, at_once: int
) -> None:
    page.goto("/c/")
    page.evaluate(RAW)
    page.locator("input[name=workflow][value=probe]").check()
    say(page, f"report(characters={at_once}, tokens=500, delay=0.015)")
    expect(page.locator("#items table")).not_to_have_count(0)
    state(page, "completed")
    assert page.evaluate("() => window.hadTail")
    assert page.evaluate("() => window.raw") == []
    expect(page.locator("#items .tail")).to_have_count(0)
    body = page.locator("#items .body")
    grown = " ".join(" ".join(body.all_inner_texts()).split())
    page.reload()
    expect(page.locator("#items .text")).not_to_have_count(0)
    assert " ".join(" ".join(body.all_inner_texts()).split()) == grown


def test_stopping_a_run_shows_text_that_was_held_back(page: Page) -> None:
    begin(page, "report(characters=9, tokens=1, delay=60)")
    expect(page.locator("#items .text")).to_have_text("Part 1")
    page.get_by_role("button", name="Stop").click()
    state(page, "cancelled")


@pytest.mark.beyond("a text far above is there for whoever scrolls or prints")
def test_what_is_far_above_is_there_for_whoever_scrolls_or_prints(page: Page) -> None:
    begin(page, "report(characters=150000, tokens=600, delay=0.005)", until="completed")
    emptied = page.locator("#items .chunk:empty")
    expect(emptied).not_to_have_count(0)
    first = page.locator("#items .chunk").first
    expect(first).to_be_empty()
    page.locator("#scroller").evaluate("each => { each.scrollTop = 0; }")
    expect(first).to_contain_text("Part 1")
    page.get_by_role("button", name="Copy code").first.click()
    expect(page.locator("#status")).to_have_text("Copied")
    expect(emptied).not_to_have_count(0)
    page.pdf()
    expect(emptied).to_have_count(0)
    parts = page.locator("#items .body :is(h2, h3, h4)").all_text_contents()
    assert parts == [f"Part {number}" for number in range(1, len(parts) + 1)]
    assert len(parts) > 200


def test_no_css_rule_uses_has_on_an_ancestor_of_the_transcript(page: Page) -> None:
    """`:has()` on it is asked again for each piece of text, and goes through all that is there."""
    begin(page, 'echo("hello")')
    searched = page.evaluate(
        r"""() => {
          const found = [];
          const items = document.getElementById("items");
          const look = (rules) => {
            for (const rule of rules) {
              for (const [, subject] of (rule.selectorText ?? "").matchAll(
                /([#.\w-]+)(?::not\()?:has\(/g,
              )) {
                for (const one of document.querySelectorAll(subject)) {
                  if (one !== items && one.contains(items)) found.push(rule.selectorText);
                }
              }
              look(rule.cssRules ?? []);
            }
          };
          for (const sheet of document.styleSheets) look(sheet.cssRules);
          return found;
        }"""
    )
    assert searched == []

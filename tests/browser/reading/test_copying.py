"""Code and answers, to be taken elsewhere."""

import pytest
from playwright.sync_api import Page, expect

from tests.browser.chat_page import begin, say, state, until_connected
from tests.browser.look import assert_accessible
from tests.support.browser import OpenPage
from tests.support.polling import until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.formless,  # what is copied does not depend on where its rows are
]

CODE = "def f(x):\n    return '<b>' * 2  # so"
ANSWER = f"**One**\n\n```python\n{CODE}\n```\n\n- [ ] two\n- [x] three"
CLIPBOARD = "() => navigator.clipboard.readText()"
READ = "clipboard => clipboard.readText()"


@pytest.fixture
def page(page: Page) -> Page:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    return page


def begin_and_complete(page: Page, text: str = ANSWER) -> None:
    begin(page, f"echo({text!r})", until="completed")
    expect(page.locator("#items .tail")).to_have_count(0)


def test_code_is_copied_as_it_was_written_also_without_the_clipboard_api(page: Page) -> None:
    begin_and_complete(page)
    figure = page.locator("#items figure")
    expect(figure.locator("figcaption")).to_have_text("Python")
    expect(figure.locator(".code-keyword")).to_have_text(["def", "return"])
    button = figure.get_by_role("button", name="Copy code")
    button.click()
    expect(page.locator("#status")).to_have_text("Copied")
    clipboard = page.evaluate_handle("() => navigator.clipboard")
    assert clipboard.evaluate(READ) == f"{CODE}\n"
    expect(button).to_be_focused()
    clipboard.evaluate("each => each.writeText('')")
    clipboard.evaluate("each => { each.writeText = () => Promise.reject(new Error()); }")
    button.click()
    expect(page.locator("#alert")).to_have_text("Copying failed. Try again.")
    page.evaluate("() => Object.defineProperty(navigator, 'clipboard', { value: undefined })")
    button.click()
    until(lambda: clipboard.evaluate(READ) == f"{CODE}\n")
    expect(button).to_be_focused()


@pytest.mark.beyond("code that was cut because it is long is copied whole")
def test_code_that_was_cut_because_it_is_long_is_copied_whole(page: Page) -> None:
    code = "".join(f"value_{number} = {number}  # a line\n" for number in range(900))
    begin_and_complete(page, f"```python\n{code}```\n\n```\nother\n```")
    expect(page.locator("#items figure.rest")).not_to_have_count(0)
    buttons = page.get_by_role("button", name="Copy code")
    boxes = [one.bounding_box() for one in buttons.all()]
    assert len({box and box["x"] for box in boxes}) == 1  # whatever the code is
    buttons.first.click()
    expect(page.locator("#status")).to_have_text("Copied")
    assert page.evaluate(CLIPBOARD) == code


def test_an_answer_is_copied_as_its_markdown(page: Page) -> None:
    begin_and_complete(page)
    say(page, 'echo("and on")')  # the icons of the last answer are always there
    state(page, "completed")
    expect(page.locator("#items .copy")).to_have_count(2)
    button = page.get_by_role("button", name="Copy the answer as Markdown").first
    copy = page.locator("#items .copy").first
    page.locator("#text").hover()
    expect(copy).to_have_css("opacity", "0")
    page.locator("#items .text").first.hover()
    expect(copy).to_have_css("opacity", "1")
    page.locator("#text").hover()
    button.focus()
    expect(copy).to_have_css("opacity", "1")
    page.keyboard.press("Enter")
    expect(page.locator("#status")).to_have_text("Copied")
    assert page.evaluate(CLIPBOARD) == ANSWER


def test_the_button_that_copies_stands_above_the_card_behind_the_answer(page: Page) -> None:
    begin(page, "stream_and_ask(tokens=5)", cards=1)
    page.locator("#items .text").hover()
    button = page.locator(".copy button").bounding_box()
    below = page.locator("prompt-card").bounding_box()
    assert button
    assert below
    assert button["y"] + button["height"] <= below["y"]


def test_touch_screens_always_show_the_copy_button(open_page: OpenPage) -> None:
    page = open_page("/c/", has_touch=True, is_mobile=True, viewport={"width": 390, "height": 844})
    until_connected(page)
    page.locator("input[name=workflow][value=probe]").check()
    page.locator("#text").fill(f"echo({ANSWER!r})")
    page.get_by_role("button", name="Send").click()
    state(page, "completed")
    expect(page.locator("#items .copy")).to_have_css("opacity", "1")
    box = page.locator("#items .copy button").bounding_box()
    assert box is not None
    assert min(box["width"], box["height"]) >= 44


def test_code_and_tasks_have_no_accessibility_fault(page: Page) -> None:
    diff = '```diff\n@@ 1 @@\n-one\n+two\n```\n\n```json\n{"a": [1, true, "b"]}\n```'
    begin_and_complete(page, f"{ANSWER}\n\n{diff}")
    say(page, 'echo("```mermaid\\nz\\n```")')
    state(page, "completed")
    page.locator("#items .text").last.hover()
    assert_accessible(page)

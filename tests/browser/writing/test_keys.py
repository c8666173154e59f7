"""Keys that belong to an input method or are characters: the page leaves them to who types."""

import pytest
from playwright.sync_api import CDPSession, Page, expect

from tests.browser.chat_page import begin, card, state

pytestmark = [
    pytest.mark.slow,
    pytest.mark.formless,
]
ALT, CTRL = 1, 2  # modifiers as the browser's protocol counts them


@pytest.fixture
def keyboard(page: Page) -> CDPSession:
    """Return what sends keys that no keyboard of Playwright has."""
    return page.context.new_cdp_session(page)


def compose(keyboard: CDPSession, text: str) -> None:
    """Begin to compose a text, and press the Escape that takes it back."""
    place = {"selectionStart": len(text), "selectionEnd": len(text)}
    keyboard.send("Input.imeSetComposition", {"text": text, **place})
    press(keyboard, "Escape", "Escape", 27)


def press(
    keyboard: CDPSession, key: str, code: str, number: int, modifiers: int = 0, text: str = ""
) -> None:
    """Press a key; `text` is what the layout of the keyboard makes of it."""
    names = {"key": key, "code": code, "windowsVirtualKeyCode": number, "modifiers": modifiers}
    kind = "keyDown" if text else "rawKeyDown"
    keyboard.send("Input.dispatchKeyEvent", {"type": kind, **names, "text": text})


def test_an_escape_of_the_input_method_ends_no_edit_and_keeps_the_question_in_the_field(
    page: Page, keyboard: CDPSession
) -> None:
    begin(page, 'echo("first")', until="completed")
    page.locator(".user .bubble").hover()
    page.locator("a.edit").click()
    page.keyboard.type(" changed")
    compose(keyboard, "にほn")
    expect(page.locator("#editing")).to_be_visible()
    expect(page.locator("#text")).to_have_value('echo("first") changedにほn')
    keyboard.send("Input.insertText", {"text": "日本"})
    page.keyboard.press("Escape")
    expect(page.locator("#editing")).to_be_hidden()
    begin(page, "ask()", cards=1)
    page.locator("#text").click()
    page.keyboard.type("half ")
    expect(page.locator("#composer")).to_have_attribute("data-answers", "")
    compose(keyboard, "やまd")
    expect(page.locator("#composer")).to_have_attribute("data-answers", "")
    expect(page.locator("#text")).to_have_value("half やまd")


def test_a_key_that_makes_a_character_is_typed_and_no_shortcut(
    page: Page, keyboard: CDPSession
) -> None:
    """Option+Q, Option+I of a Mac, which begins an î, and AltGr+Q of a German Windows."""
    begin(page, "approve(count=1)", cards=1)
    question, here = card(page).locator("h2"), page.url
    page.locator("#text").click()
    press(keyboard, "œ", "KeyQ", 81, ALT, "œ")
    press(keyboard, "Dead", "KeyI", 73, ALT)
    press(keyboard, "@", "KeyQ", 81, ALT | CTRL)
    expect(page.locator("#text")).to_have_value("œ")
    expect(page.locator("#text")).to_be_focused()
    assert page.url == here
    page.locator("#scroller").focus()  # where a key makes no character
    press(keyboard, "œ", "KeyQ", 81, ALT)
    expect(question).to_be_focused()
    page.locator("#text").click()
    page.keyboard.press("Alt+i")
    page.wait_for_url("**/inbox/")
    page.go_back()
    state(page, "needs-you")

"""The languages of a browser, and of a page: times are written as the reader's country does."""

import json

import pytest
from playwright.sync_api import Page, expect

from tests.browser.chat_page import begin, until_connected

pytestmark = pytest.mark.formless
MORE = pytest.mark.beyond("times are of the country that each list of languages begins with")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("page_language", "languages", "date"),
    [
        ("en", ["en-US@posix"], "Jan 31, 2030"),
        pytest.param("en", ["C", "en-GB"], "31 Jan 2030", marks=MORE),
        pytest.param("en-us", ["en-GB", "en-US"], "31 Jan 2030", marks=MORE),
        ("zh-hans", ["zh-TW", "de"], "2030年1月31日"),
    ],
)
def test_times_are_of_the_readers_country(
    page: Page, page_language: str, languages: list[str], date: str
) -> None:
    begin(page, 'echo("hi")', until="completed")
    for whose, name, value in (
        ("navigator", "languages", languages),
        ("HTMLElement.prototype", "lang", page_language),  # as if the page were in it
    ):
        page.add_init_script(
            f"Object.defineProperty({whose}, '{name}', {{ value: {json.dumps(value)} }})"
        )
    page.reload()
    until_connected(page)
    page.evaluate(
        """document.body.insertAdjacentHTML("beforeend",
            '<local-time id="then"><time datetime="2030-01-31T12:00Z"></time></local-time>')"""
    )
    expect(page.locator("#then time")).to_contain_text(date)

"""A text that is pasted and far too long: it goes with the message as a file, or nowhere."""

import json

import pytest
from playwright.sync_api import Page, expect

from tests.browser.chat_page import begin, open_new, until_connected

pytestmark = [
    pytest.mark.slow,
    pytest.mark.formless,  # what the page does is the same
]
MEGABYTE = "line\n" * 200_000


def paste(page: Page, text: str) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.evaluate("text => navigator.clipboard.writeText(text)", text)
    page.locator("#text").focus()
    page.keyboard.press("Control+v")


def test_a_huge_paste_becomes_a_file(page: Page) -> None:
    open_new(page)
    paste(page, MEGABYTE)
    expect(page.locator("#files [name=file_ids]:enabled")).to_have_count(1)
    expect(page.locator("#composer-error")).to_contain_text("attached as a file")
    expect(page.locator("#text")).to_have_value("")
    page.locator("#text").fill("describe_files()")
    page.locator("#text").press("Enter")
    expect(page.locator("#items .text")).to_contain_text("text.txt text/plain 1000000")


def test_a_huge_paste_where_no_file_is_taken_is_refused_in_words(page: Page) -> None:
    open_new(page)
    page.locator("#attach").evaluate("label => label.hidden = true")
    paste(page, "short")
    paste(page, MEGABYTE)
    expect(page.locator("#composer-error")).to_contain_text(
        "Not pasted: The message has 1,000,005 characters; at most 32,000 are allowed."
    )
    expect(page.locator("#text")).to_have_value("short")


def test_a_huge_draft_is_not_kept_and_one_that_was_kept_is_not_shown(page: Page) -> None:
    begin(page, 'echo("hi")', until="completed")
    page.locator("#text").fill("begun")
    [key] = page.evaluate(
        "Object.keys(localStorage).filter(key => localStorage[key].includes('begun'))"
    )
    assert page.url.split("/")[-2] in key
    draft = json.loads(page.evaluate("key => localStorage[key]", key))
    draft["text"] = MEGABYTE
    page.evaluate("([key, draft]) => localStorage[key] = draft", [key, json.dumps(draft)])
    page.reload()
    until_connected(page)
    expect(page.locator("#text")).to_have_value("")

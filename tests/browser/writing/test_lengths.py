"""Texts that are long: taken up to the limit, refused beyond it in words, and never a dead end."""

import json
from typing import Any

import pytest
from playwright.sync_api import Page, WebSocketRoute, expect

from tests.browser.chat_page import begin, until_connected

pytestmark = [
    pytest.mark.slow,
    pytest.mark.formless,  # what the page does is the same
]

CHINESE = f"echo('{'字' * 31_990}')"
EMOJI = f"echo('{'😀' * 31_990}')"


def send(page: Page, text: str) -> None:
    page.locator("#text").fill(text)
    page.locator("#text").press("Enter")


def test_a_text_at_the_limit_is_sent_whatever_its_characters_are(page: Page) -> None:
    begin(page, 'echo("hi")')
    for number, text in enumerate((CHINESE, EMOJI), 2):
        send(page, text)
        expect(page.locator(".user")).to_have_count(number)
        expect(page.locator("#text")).to_have_value("")
        expect(page.locator("#items .text")).to_have_count(number)


def test_a_text_beyond_the_limit_is_kept_and_the_reason_said(page: Page) -> None:
    begin(page, 'echo("hi")', until="completed")
    send(page, "字" * 32_001)
    expect(page.locator("#composer-error")).to_have_text(
        "Not sent: The message has 32,001 characters; at most 32,000 are allowed. "
        "Shorten it or send it in parts."
    )
    expect(page.locator("#composer .count")).to_have_text("32001 / 32000")
    send(page, 'echo("shorter")')
    expect(page.locator("#items .text").last).to_have_text("shorter")
    expect(page.locator("#composer-error")).to_be_empty()
    expect(page.locator("#composer .count")).to_be_empty()
    # As if the page did not know the limit.
    page.locator("#text").evaluate("field => field.dataset.most = 10 ** 7")
    text = "字" * 200_000
    send(page, text)
    expect(page.locator("#composer-error")).to_contain_text("too large")
    expect(page.locator("#text")).to_be_editable()
    assert page.locator("#text").input_value() == text


def swallow_messages(page: Page, messages: list[Any]) -> None:

    def connect(route: WebSocketRoute) -> None:
        server = route.connect_to_server()

        def pass_on(frame: str | bytes) -> None:
            message = json.loads(frame)
            if message["type"] == "user_message":
                messages.append(message)
            else:
                server.send(frame)

        route.on_message(pass_on)

    page.route_web_socket("**/*", connect)


def test_an_unacknowledged_message_can_be_edited(page: Page) -> None:
    messages: list[Any] = []
    swallow_messages(page, messages)
    page.goto("/c/")
    until_connected(page)
    send(page, 'echo("once")')
    expect(page.locator("#progress")).to_contain_text("Sending")
    page.get_by_role("button", name="Edit").click()
    expect(page.locator("#text")).to_be_editable()
    expect(page.locator("#text")).to_have_value('echo("once")')
    expect(page.locator("#progress .words")).to_be_empty()
    assert [message["type"] for message in messages] == ["user_message"]

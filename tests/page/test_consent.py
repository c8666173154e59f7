"""The prompts that lead to other pages: what they take, and their cards on the page."""

import pytest
from playwright.sync_api import Page, expect
from pydantic import ValidationError

from sessions_app.prompts import JsonAnswer, LinkPrompt, OAuthPrompt
from tests.browser.chat_page import begin

URL = "https://login.example/authorize?state=s1"


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "data:text/html,x",
        "//login.example/",
        "/sign-in",
        "https://",
        "ftp://login.example/",
        "https://bank.example@evil.example/",
        "https://login.example/a b",
        "https://login.example/\u202egpj",
        "https://\u0440\u0430ypal.example/",
        "Sign in at https://login.example/",
    ],
)
def test_only_a_plain_web_address_is_a_consent_link(url: str) -> None:
    with pytest.raises(ValidationError):
        OAuthPrompt(text=url)
    with pytest.raises(ValidationError):
        LinkPrompt(text="Pay there.", url=url)


def test_only_declined_refuses_consent() -> None:
    prompt = OAuthPrompt(text=URL, timeout=60, default="declined")
    assert prompt.host == "login.example"
    for answer_value, granted in (("done", True), ("", True), (None, True), ("declined", False)):
        stored_answer = prompt.check(JsonAnswer.of(answer_value))
        answer = prompt.respond(stored_answer, by="ann", at=None, is_default=False)
        assert answer.granted is granted


def test_the_card_has_a_link_that_shows_where_it_leads(page: Page) -> None:
    begin(page, "prompt oauth_consent")
    card = page.locator("prompt-card")
    expect(card.get_by_role("heading")).to_contain_text("login.example")
    link = card.get_by_role("link", name="Open login.example")
    expect(link).to_have_attribute("href", URL)
    expect(link).to_have_attribute("rel", "noopener noreferrer external")
    expect(link).to_have_attribute("target", "_blank")
    expect(card.get_by_role("button", name="Decline")).to_be_visible()
    card.get_by_role("button", name="I have signed in").click()
    expect(page.locator(".question .outcome")).to_have_text("Done")
    expect(page.locator("#items")).to_contain_text("done")


def test_a_link_shows_its_whole_address_before_it_is_opened(page: Page) -> None:
    begin(page, "prompt link")
    card = page.locator("prompt-card")
    expect(card.get_by_role("heading")).to_contain_text("Pay there.")
    expect(card.locator("code")).to_have_text("https://bank.example/pay?for=books")
    link = card.get_by_role("link", name="Open bank.example")
    expect(link).to_have_attribute("href", "https://bank.example/pay?for=books")
    expect(link).to_have_attribute("rel", "noopener noreferrer external")
    card.get_by_role("button", name="It is done there").click()
    expect(page.locator(".question .outcome")).to_have_text("Done")

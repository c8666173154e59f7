"""The prompts that lead to other pages: what they take, and their cards on the page."""

from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, expect
from pydantic import ValidationError

from sessions_app.errors import Invalid
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
        "https://evil.example\\.accounts.example/",
        "https://evil.example\\@accounts.example/",
        "https:\\\\evil.example/",
        "https://accounts.example/\\evil.example",
        "https:/evil.example/",
        "https:evil.example/",
        "https:///evil.example/",
        "https://evil.example\t.accounts.example/",
        "ht\ntps://evil.example/",
        "https://a@b@evil.example/",
        "https://@evil.example/",
        "https://accounts.example:pay@evil.example/",
        "https://accounts.example:@evil.example/",
        "https://accounts.example:/",
        "https://accounts.example:0/",
        "https://accounts.example:00443/",
        "https://accounts.example:65536/",
        "https://accounts.example:443x/",
        "https://accounts.example:443:444/",
        "https://%65vil.example/",
        "https://evil.example%2f.accounts.example/",
        "https://accounts\u3002example/",
        "https://accounts..example/",
        "https://accounts.example./",
        "https://evil.example;accounts.example/",
        "https://2130706433/",
        "https://0x7f000001/",
        "https://127.1/",
        "https://0177.0.0.1/",
        "https://127.0.0.0x1/",
        "https://127.0.0.1./",
        "https://accounts.example.0x/",
        "https://1.2.3.4.5/",
        "https://[::1/",
        "https://[fe80::1%25eth0]/",
        "https://[accounts.example]/",
    ],
)
def test_only_a_plain_web_address_is_a_consent_link(url: str) -> None:
    with pytest.raises(ValidationError):
        OAuthPrompt(text=url)
    with pytest.raises(ValidationError):
        LinkPrompt(text="Pay there.", url=url)


@pytest.mark.slow
def test_a_browser_opens_the_host_that_people_read(page: Page) -> None:
    hosts = {
        "https://login.example": "login.example",
        "HTTP://Login.EXAMPLE:8443/a/@evil.example": "login.example:8443",
        "https://login.example?next=//evil.example": "login.example",
        "https://login.example#@evil.example": "login.example",
        "http://127.0.0.1:8000/": "127.0.0.1:8000",
        "http://[::1]:8000/": "[::1]:8000",
        "https://xn--bcher-kva.example/": "xn--bcher-kva.example",
        "https://my_site.0x1.example/": "my_site.0x1.example",
        "http://localhost/": "localhost",
    }
    prompts = [LinkPrompt(text="Pay there.", url=url) for url in hosts]
    assert [prompt.host.lower() for prompt in prompts] == list(hosts.values())
    opened = page.evaluate("urls => urls.map(url => new URL(url).host)", list(hosts))
    assert opened == list(hosts.values())


def test_only_done_grants_consent_and_only_declined_refuses_it() -> None:
    prompt = OAuthPrompt(text=URL, timeout=60, default="declined")
    assert prompt.host == "login.example"
    for answer_value in ("", None, "yes", {"value": "done"}):
        with pytest.raises(Invalid):
            prompt.check(JsonAnswer.of(answer_value))
    for answer_value, granted in (("done", True), ("declined", False)):
        stored_answer = prompt.check(JsonAnswer.of(answer_value))
        answer = prompt.respond(stored_answer, by="ann", at=None, is_default=False)
        assert answer.granted is granted


@pytest.mark.parametrize(
    ("kind", "says", "url", "done"),
    [
        ("oauth_consent", "login.example", URL, "I have signed in"),
        pytest.param(
            "link",
            "Pay there.",
            "https://bank.example/pay?for=books",
            "I've done it",
            marks=pytest.mark.slow,
        ),
    ],
    ids=["a consent", "a link"],
)
def test_the_card_has_a_link_that_shows_where_it_leads(
    page: Page, kind: str, says: str, url: str, done: str
) -> None:
    begin(page, f'prompt(kind="{kind}")')
    card = page.locator("prompt-card")
    expect(card.get_by_role("heading")).to_contain_text(says)
    expect(card.locator("code")).to_have_text([url] if kind == "link" else [])
    link = card.get_by_role("link", name=f"Open {urlsplit(url).hostname}")
    expect(link).to_have_attribute("href", url)
    expect(link).to_have_attribute("rel", "noopener noreferrer external")
    expect(link).to_have_attribute("target", "_blank")
    expect(card.get_by_role("button", name="Decline")).to_be_visible()
    card.get_by_role("button", name=done).click()
    expect(page.locator(".question .outcome")).to_have_text("Done")
    expect(page.locator("#items")).to_contain_text("done")

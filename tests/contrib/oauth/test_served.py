"""Consent on real servers: one that dies meanwhile, a browser, and a plain client of NAT."""

import asyncio
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.chat_page import begin
from tests.contrib.oauth.provider import visit
from tests.http.client import Http
from tests.support.browser import Console
from tests.support.polling import until
from tests.support.server import Response, Server
from tests.support.websocket import WsClient


def get(server: Server, address: str) -> Response:
    """GET an address of the server, as ann."""
    assert address.startswith(f"{server.url}/oauth/")
    return server.get(address.removeprefix(server.url), "ann")


def go_and_agree(server: Server, link: str) -> str:
    """Follow the link and agree at the provider; return the address to come back to."""
    away = get(server, link)
    assert away.status == 302, away.text
    return visit(str(away.headers["Location"]))


@pytest.mark.slow
@pytest.mark.timeout(400)  # four starts
@pytest.mark.every_form(
    "a worker hosts the run there, and a web process takes the person back", at_each_change=False
)
def test_nothing_is_lost_by_a_server_that_dies_meanwhile(server: Server) -> None:
    http = Http(server, "ann", workflow="notes")
    stop: dict[str, Any] = http.generate("read").json()
    assert stop["status"] == "oauth_required"
    server.restart()
    address = go_and_agree(server, stop["auth_url"])
    server.restart()
    assert get(server, address).status == 200
    server.restart()

    def ended() -> Any:
        execution = http.get(stop["status_url"]).json()
        return execution if execution["status"] == "completed" else None

    assert until(ended, otherwise=server.log_tail)["result"]["value"] == "octo"
    assert get(server, address).status == 400


@pytest.mark.slow
def test_the_card_closes_when_the_person_is_back_in_another_tab(
    page: Page, console: Console
) -> None:
    console.allow("404 .*/(favicon.ico|authorize/)")  # of the provider's own page
    begin(page, "read", workflow="notes")
    card = page.locator("prompt-card")
    expect(card.get_by_role("heading")).to_have_text("Connect your account at Notes")
    expect(page.locator("#sidebar")).to_contain_text("Connect your account at Notes")
    expect(card.get_by_role("button", name="I have signed in")).to_have_count(0)
    expect(card.get_by_role("button", name="Decline")).to_be_visible()
    with page.context.expect_page() as opened:
        card.get_by_role("link", name="Connect Notes").click()
    other = opened.value
    other.get_by_role("button", name="Authorize").click()
    expect(other.get_by_text("You can close this page")).to_be_visible()
    assert other.evaluate("window.opener") is None
    expect(card).to_have_count(0)
    expect(page.locator("#items .asked")).to_have_text("Connect your account at Notes")
    expect(page.locator("#items")).to_contain_text("octo")
    other.goto("/settings/accounts/")
    other.get_by_role("button", name="Revoke Notes").click()
    expect(other.get_by_text("No connected accounts.")).to_be_visible()


@pytest.mark.slow
async def test_a_plain_client_gets_the_prompt_in_its_form(server: Server) -> None:
    async with WsClient(server, "plain", extended=None, workflow="notes") as client:
        prompt = await client.message_until_prompt("read")
        assert prompt["content"]["input_type"] == "oauth_consent"
        link = prompt["content"]["text"]
        choice = await client.until("system_interaction_message")
        assert choice["content"]["input_type"] == "binary_choice"
        assert link in choice["content"]["text"]
        await client.answer("done", choice)  # too early, so it is asked again
        again = await client.until(
            lambda frame: frame.get("content", {}).get("input_type") == "binary_choice"
        )
        assert again["content"]["text"].startswith("Open the link and agree at Notes")
        address = await asyncio.to_thread(go_and_agree, server, link)
        assert (await asyncio.to_thread(get, server, address)).status == 200
        await client.until(lambda frame: "octo" in str(frame.get("content")))

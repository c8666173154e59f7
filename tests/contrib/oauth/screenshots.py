"""The card and the pages about accounts elsewhere, drawn as `make screenshots` draws all."""

import pytest
from playwright.sync_api import Page, expect

from tests.browser.chat_page import begin
from tests.browser.screenshots import draw
from tests.support.browser import Console

pytestmark = pytest.mark.timeout(900)


def test_draw_accounts(page: Page, console: Console) -> None:
    console.allow("404 .*/(favicon.ico|authorize/)")  # of the provider's own page
    begin(page, "read", workflow="notes", cards=1)
    draw(page, "accounts-1-consent")
    with page.context.expect_page() as opened:
        page.get_by_role("link", name="Connect Notes").click()
    other = opened.value
    other.get_by_role("button", name="Authorize").click()
    expect(other.get_by_text("You can close this page")).to_be_visible()
    draw(other, "accounts-2-back")
    other.goto("/settings/accounts/")
    draw(other, "accounts-3-connected")
    other.get_by_role("button", name="Revoke Notes").click()
    expect(other.get_by_text("No connected accounts.")).to_be_visible()
    draw(other, "accounts-4-none")
    other.goto("/settings/")
    draw(other, "accounts-5-settings")

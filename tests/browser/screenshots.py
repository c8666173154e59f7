"""`make screenshots`: each state of the page, in several sizes and both themes, to be looked at."""

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.chat_page import answer, begin, card, say, until_connected
from tests.inbox.people import make_group
from tests.support.browser import OpenPage
from tests.support.server import Server

SIZES = [(320, 568), (390, 844), (768, 1024), (1280, 800), (640, 400), (320, 256)]
FOLDER = Path("screenshots")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES, ids=lambda size: "x".join(map(str, size)))
def test_draw(open_page: OpenPage, size: tuple[int, int], scheme: str) -> None:
    viewport = {"width": size[0], "height": size[1]}
    page = open_page("/c/", viewport=viewport, color_scheme=scheme)

    def draw(name: str) -> None:
        page.wait_for_timeout(600)
        FOLDER.mkdir(exist_ok=True)
        page.screenshot(path=FOLDER / f"{name}-{size[0]}x{size[1]}-{scheme}.png")

    draw_answers(page, draw)
    draw_questions(page, draw)
    draw_types(page, draw)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES, ids=lambda size: "x".join(map(str, size)))
def test_draw_inbox(
    open_page: OpenPage, server: Server, size: tuple[int, int], scheme: str
) -> None:
    """Draw the inbox and its prompts, and all prompts in the admin."""
    viewport = {"width": size[0], "height": size[1]}
    look = {"viewport": viewport, "color_scheme": scheme}

    def draw(page: Page, name: str) -> None:
        page.wait_for_timeout(600)
        FOLDER.mkdir(exist_ok=True)
        page.screenshot(path=FOLDER / f"{name}-{size[0]}x{size[1]}-{scheme}.png")

    make_group(server)
    inbox = open_page("/inbox/", user="ben", **look)
    draw(inbox, "inbox-1-empty")
    asking = open_page("/c/")
    for words in ("", " due=7200", " days=20 votes=2", " text"):
        begin(asking, f"assign managers{words}", until="waiting")
    begin(open_page("/c/", user="ben"), "prompt radio")
    expect(card(inbox)).to_have_count(5)
    draw(inbox, "inbox-2-prompts")
    inbox.get_by_role("button", name="Claim").first.click()
    expect(inbox.locator(".holds")).to_be_visible()
    inbox.locator(".tick input").first.check()
    draw(inbox, "inbox-3-several")
    inbox.locator(".entry", has_text="20 days").dispatch_event("focusin")
    inbox.locator(".entry", has_text="20 days").get_by_text("Reassign…").click()
    inbox.locator(".entry", has_text="20 days").scroll_into_view_if_needed()
    draw(inbox, "inbox-4-hand-on")
    draw_prompt(inbox, draw)
    admin = open_page("/admin/sessions_app/interaction/", user="admin", **look)
    draw(admin, "admin-1-prompts")
    admin.locator("#result_list tbody th a").first.click()
    admin.wait_for_url("**/change/**")
    draw(admin, "admin-2-prompt")


def draw_prompt(page: Page, draw: Callable[[Page, str], None]) -> None:
    """Draw one prompt before and after one's vote: what others decide, and what one has."""
    link = page.locator(".entry", has_text="20 days").locator(".permanent")
    page.goto(link.get_attribute("href") or "")
    until_connected(page)
    draw(page, "prompt-1-open")
    card(page).get_by_role("button", name="Approve").click()
    expect(page.locator(".voted")).to_be_visible()
    draw(page, "prompt-2-voted")
    page.goto("/inbox/?part=answered")
    until_connected(page)
    draw(page, "inbox-5-answered")
    page.goto("/inbox/?q=nothing+of+this")
    draw(page, "inbox-6-nothing-found")


def draw_answers(page: Page, draw: Callable[[str], None]) -> None:
    """Draw an empty page, and what runs write."""
    until_connected(page)
    draw("1-empty")
    drawer = page.get_by_role("button", name="Conversations")
    if drawer.is_visible():
        drawer.click()
        draw("2-list")
        page.keyboard.press("Escape")
    begin(page, "200 a month at 3.5 % for 2 years", workflow="report", until="completed")
    draw("3-report")
    begin(page, "slowstream 100 20")
    expect(page.locator("#items .text")).to_contain_text("t20 ")
    draw("4-working")
    begin(page, "approve many", until="failed")
    draw("9-failed")
    begin(page, "prompt details", cards=1)
    draw("10-details")


def draw_questions(page: Page, draw: Callable[[str], None]) -> None:
    """Draw a question at its place, one that is docked, and several."""
    begin(page, "slowstream 300 1", until="completed")
    say(page, "approve 1")
    expect(card(page)).to_have_count(1)
    draw("5-binary")
    page.locator("#scroller").evaluate("each => { each.scrollTop = 0; }")
    draw("6-docked")
    begin(
        page,
        "We will publish the customer list on the web site.",
        workflow="parallel_review",
        cards=3,
    )
    draw("7-several")
    page.locator("prompt-card:not([data-folded]) [data-all]").dispatch_event("click")
    draw("8-all")


def draw_types(page: Page, draw: Callable[[str], None]) -> None:
    """Draw each type of prompt, one after another."""
    begin(page, "Dinner with a customer", workflow="expense_approval")
    for number in range(7):
        expect(card(page).first.or_(page.locator("#state [data-name=completed]"))).to_be_visible()
        if not card(page).count():
            break
        form = card(page).locator("form")
        kind = form.get_attribute("data-type")
        draw(f"types-{number}-{kind}")
        answered = card(page).get_attribute("id")
        answer(form)
        expect(page.locator(f"#{answered}")).to_have_count(0)
    draw("types-end")

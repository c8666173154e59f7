"""Prompts that one card has: one button answers all of them, or none."""

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.chat_page import assert_page_is_log, begin, card, state
from tests.support.browser import Console, OpenPage
from tests.support.server import Server

pytestmark = pytest.mark.formless  # the views and the socket have tests in both

SETTLED = "SELECT status FROM sessions_app_interaction ORDER BY position"


def fill(form: Locator) -> None:
    """Fill all fields, the day with a wrong one."""
    form.get_by_label("Name?").fill("Ada\nLovelace")
    form.get_by_label("Blue").first.check()
    form.get_by_role("combobox").select_option("red")
    form.get_by_role("checkbox", name="Red").check()
    form.get_by_label("First day").fill("2026-11-22")
    form.get_by_label("Days").fill("2")


def test_one_button_answers_all_or_none(page: Page, server: Server, console: Console) -> None:
    console.allow("status of 422")
    page.set_viewport_size({"width": 320, "height": 640})
    begin(page, "together")
    form = card(page)
    expect(form).to_have_count(1)
    expect(form.get_by_role("heading")).to_have_text("About your trip")
    expect(page.locator(".question")).to_have_count(5)
    expect(page.get_by_text("is answered with the questions above")).to_have_count(4)
    expect(page.get_by_text("is answered with the questions above").last).to_be_hidden()
    expect(form.get_by_label("Name?")).to_have_attribute("placeholder", "a name")
    fill(form)
    form.get_by_role("button", name="Answer all").click()
    day = form.get_by_label("First day")
    expect(day).to_be_focused()
    expect(day).to_have_accessible_description("That is a Sunday.")
    expect(form.get_by_role("alert")).to_have_text("Check the marked fields.")
    assert {row["status"] for row in server.rows(SETTLED)} == {"pending"}
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    day.fill("2026-11-23")
    form.get_by_role("button", name="Answer all").click()
    state(page, "completed")
    expect(page.locator("#items .text")).to_contain_text("Ada Lovelace|blue|red|red|{'kind'")
    expect(page.locator(".question .outcome")).to_have_count(5)
    expect(card(page)).to_have_count(0)
    assert_page_is_log(page, server)


@pytest.mark.long
def test_prompts_on_one_card_are_answered_together_without_the_script(
    page: Page, open_page: OpenPage, server: Server, console: Console
) -> None:
    console.allow("status of 422")
    begin(page, "together")
    expect(card(page)).to_have_count(1)
    plain = open_page(page.url, java_script_enabled=False)
    form = card(plain)
    fill(form)
    form.get_by_role("button", name="Answer all").click()
    expect(form.locator(".errorlist")).to_have_text(["That is a Sunday."])
    expect(form.get_by_label("Name?")).to_have_value("Ada\nLovelace")
    expect(form.get_by_label("Blue").first).to_be_checked()
    assert {row["status"] for row in server.rows(SETTLED)} == {"pending"}
    form.get_by_label("First day").fill("2026-11-23")
    form.get_by_role("button", name="Answer all").click()
    expect(page.locator("#items .text")).to_contain_text("Lovelace|blue|red|red|{'kind'")


def test_answering_a_card_answered_in_another_tab_changes_nothing(
    page: Page, open_page: OpenPage, server: Server
) -> None:
    begin(page, "together")
    expect(card(page)).to_have_count(1)
    other = open_page(page.url, java_script_enabled=False)
    for form in (card(page), card(other)):
        fill(form)
        form.get_by_label("First day").fill("2026-11-23")
    card(page).get_by_role("button", name="Answer all").click()
    state(page, "completed")
    card(other).get_by_role("button", name="Answer all").click()
    expect(other.locator("#messages, .messages, [role=status]").first).to_be_attached()
    expect(other.get_by_text("already answered this question")).to_be_visible()
    assert {row["status"] for row in server.rows(SETTLED)} == {"answered"}

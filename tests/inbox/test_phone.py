"""The inbox on a phone: rows, one question over them, and how many taps an answer takes."""

from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.chat_page import begin, until_connected
from tests.browser.look import assert_accessible, assert_looks_right
from tests.inbox.people import make_group, name_user
from tests.inbox.test_looks import ask, entry
from tests.support.browser import OpenPage
from tests.support.polling import until
from tests.support.server import Server

pytestmark = pytest.mark.formless  # how pages look does not depend on where their rows are

PHONE: dict[str, Any] = {
    "viewport": {"width": 360, "height": 740},
    "has_touch": True,
    "is_mobile": True,
}
ANSWERED = "SELECT id FROM sessions_app_interaction WHERE status = 'answered'"


@pytest.fixture
def phone(open_page: OpenPage, server: Server) -> Page:
    make_group(server)
    page = open_page("/inbox/", user="ben", **PHONE)
    until_connected(page)
    return page


def count_answers(server: Server, count: int) -> None:
    until(lambda: len(server.rows(ANSWERED)) == count)


class Taps:
    """The taps of a person; each is on what can be seen and pressed."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, place: Locator) -> None:
        place.tap()
        self.count += 1


@pytest.mark.slow
def test_ten_of_thirty_questions_take_a_tap_each_after_the_first_is_open(
    phone: Page, server: Server
) -> None:
    kinds = ("", ", votes=1")
    ask(server, *(f"days={n}{kinds[n % 2]}, due={600 + n}" for n in range(30)))
    expect(phone.locator("#count")).to_have_text("30")
    tap = Taps()
    tap(phone.locator(".permanent").first)
    for number in range(10):
        question = phone.locator(f"[data-over] h2:has-text('Give ann {number} days off?')")
        expect(question).to_be_in_viewport()
        expect(phone.locator("#turns .heading")).to_have_text(f"1 of {30 - number}")
        tap(phone.locator("[data-over] button", has_text="Approve"))
        confirmed = f"Answered “Approve”: Give ann {number} days off? View"
        expect(phone.locator("#done")).to_have_text(confirmed)
    assert tap.count == 11
    box = "each => each.getBoundingClientRect()"
    places = [phone.locator(each).evaluate(box) for each in ("#turns", "#done")]
    assert places[0]["bottom"] <= places[1]["top"]
    count_answers(server, 10)


@pytest.mark.slow
def test_thirty_of_a_kind_take_three_taps(phone: Page, server: Server) -> None:
    ask(server, *(f"days={n}, due={600 + n}" for n in range(30)))
    expect(phone.locator("#count")).to_have_text("30")
    tap = Taps()
    tap(phone.get_by_label("Select all 30"))
    tap(phone.locator(".several").get_by_role("button", name="Approve"))
    tap(phone.locator(".review").get_by_role("button", name="Approve"))
    expect(phone.locator(".notice")).to_have_text("30 answered.")
    assert tap.count == 3
    count_answers(server, 30)


@pytest.mark.slow
def test_a_question_is_handed_on_with_a_note_in_four_taps(phone: Page, server: Server) -> None:
    name_user(server, "user0", "Max", "Meier")
    ask(server, "days=1")
    tap = Taps()
    tap(phone.locator(".permanent"))
    tap(phone.locator(".claims summary"))
    to = phone.get_by_label("To", exact=True)
    expect(to).to_be_focused()
    # Who is asked, too, is offered before anything is typed.
    expect(phone.locator("#people option")).to_have_text("Max Meier")
    phone.keyboard.type("user0")
    tap(phone.get_by_label("Message (optional)"))
    phone.keyboard.type("Please")
    tap(phone.locator(".claims button", has_text="Reassign"))
    expect(phone.locator("#done")).to_contain_text("Handed to Max Meier: Give ann 1 days off?")
    assert tap.count == 4


@pytest.mark.beyond("Back leads to the same place in the list of a phone")
@pytest.mark.slow
def test_back_leads_from_a_question_to_the_same_place_in_the_list(
    phone: Page, server: Server
) -> None:
    ask(server, *(f"days={n}, due={600 + n}" for n in range(20)))
    row = phone.locator(".permanent", has_text="12 days")
    row.scroll_into_view_if_needed()
    scrolled = phone.evaluate("scrollY")
    row.tap()
    expect(phone.locator("[data-over] h2")).to_be_focused()
    assert_accessible(phone)
    phone.get_by_role("button", name="Next question").tap()
    expect(phone.locator("[data-over] h2")).to_have_text("Give ann 13 days off?")
    phone.go_back()
    expect(phone.locator("[data-over]")).to_have_count(0)
    assert phone.evaluate("scrollY") == scrolled
    assert_looks_right(phone, "ltr")


@pytest.mark.slow
def test_a_row_shows_two_details_the_deadline_and_the_own_claim(
    phone: Page, server: Server
) -> None:
    ask(server, "days=1, due=3600")
    row = phone.locator(".meta")
    expect(row).to_contain_text("From Monday")
    expect(row).to_contain_text("Until Wednesday")
    expect(row.locator(".due")).to_be_in_viewport(ratio=1)
    expect(row.locator(".mine")).to_have_count(0)
    phone.locator(".permanent").tap()
    phone.get_by_role("button", name="Claim").tap()
    phone.get_by_role("button", name="Inbox").tap()
    expect(row.locator(".mine")).to_have_text("Claimed by you")


@pytest.mark.slow
def test_what_takes_another_answer_cannot_be_selected_beside_others(
    phone: Page, open_page: OpenPage, server: Server
) -> None:
    ask(server, "days=1", "days=2")
    for _ in range(2):
        begin(open_page("/c/", user="ben"), "ask_destructive()", cards=1)
    ticks = phone.locator(".tick input")
    expect(ticks).to_have_count(4)
    entry(phone, "1 days").get_by_role("checkbox").check()
    expect(phone.locator(".tick input:disabled")).to_have_count(2)
    phone.get_by_role("button", name="Clear").tap()
    expect(phone.locator(".tick input:disabled")).to_have_count(0)
    entry(phone, "customer list").first.get_by_role("checkbox").check()
    bar = phone.locator(".several:visible")
    expect(bar.locator(".selected")).to_have_text("1 selected")
    bar.get_by_role("button", name="Keep").tap()
    expect(phone.locator(".review button")).to_contain_text("Keep")

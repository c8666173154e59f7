"""Forms on their cards: filled in, refused, approved with changes; with the script and without."""

from typing import Any
from uuid import UUID

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from tests.browser.chat_page import begin, card, state, until_connected
from tests.browser.look import assert_accessible
from tests.inbox.people import make_group
from tests.support.browser import Console, OpenPage
from tests.support.server import Server

pytestmark = pytest.mark.formless  # the views and the socket have tests in both

REASON = "That is a Sunday."


@pytest.mark.slow
def test_form_errors_stand_at_their_fields_and_input_stays(page: Page) -> None:
    page.set_viewport_size({"width": 320, "height": 640})
    begin(page, 'prompt(kind="form")')
    form = card(page)
    expect(form.get_by_label("Holiday")).to_be_checked()
    form.get_by_label("First day").fill("2026-11-22")
    form.get_by_label("Days").fill("2.5")
    form.get_by_role("button", name="Answer").click()
    first = form.get_by_label("First day")
    expect(first).to_be_focused()
    expect(first).to_have_attribute("aria-invalid", "true")
    expect(first).to_have_accessible_description(REASON)
    expect(form.locator(".errorlist")).to_have_text([REASON])
    expect(form.get_by_role("alert")).to_have_text("Check the marked fields.")
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    first.fill("2026-11-23")
    form.get_by_label("Care of a child").check()
    form.get_by_label("The last day is a half").check()
    form.get_by_role("button", name="Answer").click()
    expect(form.locator(".errorlist")).to_have_text(["Care is for whole days."])
    form.get_by_label("The last day is a half").uncheck()
    form.get_by_label("The team").check()
    form.get_by_label("The boss").check()
    form.get_by_role("button", name="Answer").click()
    state(page, "completed")
    for part in ("Decimal('2.5')", "datetime.date(2026, 11, 23)", "'tell': ['team', 'boss']"):
        expect(page.locator("#items .text")).to_contain_text(part)
    page.locator(".question summary").click()
    expect(page.locator(".question .details")).to_contain_text("Care of a child")


@pytest.mark.slow
def test_changed_fields_of_a_proposal_stay_marked(page: Page) -> None:
    begin(page, 'prompt(kind="proposal")')
    form = card(page)
    pieces = form.get_by_label("Pieces")
    expect(pieces).to_have_value("200")
    expect(form.locator(".field[data-changed]")).to_have_count(0)
    pieces.fill("250")
    form.get_by_label("Express").check()
    expect(form.locator(".field[data-changed]")).to_have_count(2)
    expect(form.get_by_text("Proposed: 200")).to_be_visible()
    # It survives a reload, as any draft.
    page.reload()
    until_connected(page)
    expect(form.locator(".field[data-changed]")).to_have_count(2)
    expect(pieces).to_have_value("250")
    form.get_by_label("Express").uncheck()
    expect(form.locator(".field[data-changed]")).to_have_count(1)
    form.get_by_role("button", name="Order", exact=True).click()
    state(page, "completed")
    expect(page.locator("#items .text")).to_contain_text("pieces=250")
    question = page.locator(".question")
    expect(question.locator(".outcome")).to_have_text("Order; Pieces: 200 → 250")
    question.locator("summary").click()
    expect(question.locator("del")).to_have_text(["200"])
    expect(question.locator("ins")).to_have_text(["250"])


@pytest.mark.slow
@pytest.mark.parametrize("fails", [False, True], ids=["late", "at the second try"])
def test_what_is_typed_before_the_script_of_forms_has_come_survives_a_reload(
    page: Page, console: Console, fails: bool
) -> None:
    console.allow("net::ERR_FAILED")
    held: list[Route] = []
    page.route(
        "**/formcard*", lambda route: route.abort() if fails else held.append(route), times=1
    )
    begin(page, 'prompt(kind="proposal")', cards=1)
    card(page).get_by_label("Pieces").fill("250")
    assert len(held) == (not fails)
    for route in held:
        route.continue_()
    expect(card(page).locator(".field[data-changed]")).to_have_count(1)
    page.reload()
    expect(card(page).get_by_label("Pieces")).to_have_value("250")
    expect(card(page).locator(".field[data-changed]")).to_have_count(1)


@pytest.mark.beyond("edits stay marked in a form that the browser sent")
@pytest.mark.slow
def test_edits_stay_marked_in_a_form_that_the_browser_sent(page: Page, console: Console) -> None:
    console.allow("net::ERR_FAILED|422")
    page.route("**/formcard*", lambda route: route.abort())
    begin(page, 'prompt(kind="tool_call")')
    form = card(page)
    edit(form)
    form.get_by_label("Letter").fill("Send 200 bolts.")
    page.unroute_all()
    form.get_by_role("button", name="Approve").click()
    expect(form.locator(".errorlist")).to_have_text(['"Send 200 bolts." does not match "please"'])
    form.get_by_label("Pieces").fill("150")
    expect(form.locator(".field[data-changed]")).to_have_count(2)


@pytest.mark.slow
def test_a_proposal_is_rejected_whatever_its_fields_have(page: Page) -> None:
    begin(page, 'prompt(kind="proposal")')
    card(page).get_by_label("Pieces").fill("")
    card(page).get_by_role("button", name="Do not order").click()
    state(page, "completed")
    expect(page.locator("#items .text")).to_have_text("None")
    expect(page.locator(".question .outcome")).to_have_text("Do not order")


def edit(form: Locator) -> None:
    form.locator(".edit > summary").click()


SCHEMA = {"properties": {"to": {"type": "string"}}}
SHORT_CALL = {"arguments": {"to": "ann"}, "input_schema": SCHEMA, "editable": True}


@pytest.mark.slow
def test_a_call_is_read_in_a_table_and_edited_in_its_place(page: Page) -> None:
    begin(page, f"ask_tool_call({SHORT_CALL!r})", cards=1)
    form = card(page)
    row, field = form.get_by_role("cell", name='"ann"'), form.locator("[name=f-to]")
    expect(form).to_contain_text("Probe asks to use run. Nothing is done until you answer.")
    expect(row).to_be_visible()
    expect(field).to_be_hidden()
    edit(form)
    expect(row).to_be_hidden()
    field.fill("bob")
    field.press("Enter")  # which approves nothing
    form.get_by_text("Add a reason").click()
    form.get_by_label("Note").fill("He asked.")
    page.reload()
    until_connected(page)
    expect(field).to_have_value("bob")
    expect(form.get_by_label("Note")).to_have_value("He asked.")
    form.get_by_role("button", name="Discard changes").click()
    expect(field).to_be_hidden()
    expect(row).to_be_visible()
    form.get_by_role("button", name="Approve").click()
    state(page, "completed")
    expect(page.locator("#items .text")).to_have_text("approve 0")


@pytest.mark.slow
def test_a_call_is_edited_without_script(page: Page, open_page: OpenPage) -> None:
    begin(page, f"ask_tool_call({SHORT_CALL!r})", cards=1)
    plain = open_page("/inbox/", java_script_enabled=False)
    edit(card(plain))
    plain.locator("[name=f-to]").fill("bob")
    expect(plain.get_by_role("cell", name='"ann"')).to_be_hidden()
    plain.locator("[name=f-to]").press("Enter")
    expect(card(plain).get_by_text("Edit", exact=True)).to_be_hidden()  # nothing closes it
    card(plain).get_by_role("button", name="Approve").click()
    state(page, "completed")
    expect(page.locator("#items .text")).to_have_text("approve 1")


@pytest.mark.slow
def test_arguments_of_a_tool_call_are_edited_and_approved(page: Page) -> None:
    begin(page, 'prompt(kind="tool_call")')
    form = card(page)
    expect(form.get_by_role("heading")).to_have_text("May I order the parts?")
    letter = form.get_by_label("Letter")
    edit(form)
    letter.fill("Send 200 bolts.")
    expect(form.locator(".field[data-changed]")).to_have_count(1)  # the card's script is there
    form.get_by_role("button", name="Approve").click()
    expect(form.locator(".errorlist")).to_have_text(['"Send 200 bolts." does not match "please"'])
    expect(letter).to_be_focused()
    letter.fill("Dear Nuts,\nplease send 200 bolts.")
    form.get_by_label("Pieces").fill("150")
    form.get_by_label("Note").fill("We have 50 left.")
    expect(form.locator(".field[data-changed]")).to_have_count(1)
    form.get_by_role("button", name="Approve").click()
    state(page, "completed")
    for part in ('approve {"supplier": "Nuts"', '"pieces": 150'):
        expect(page.locator("#items .text")).to_contain_text(part)
    question, outcome = page.locator(".question"), "Approved; We have 50 left.; pieces: 200 → 150"
    expect(question.locator(".outcome")).to_have_text(outcome)
    question.locator("summary").click()
    expect(question.locator("del")).to_have_text(["200"])


@pytest.mark.slow
def test_tool_call_is_rejected_with_a_reason_whatever_its_fields_have(page: Page) -> None:
    begin(page, 'prompt(kind="tool_call")')
    edit(card(page))
    card(page).get_by_label("Pieces").fill("")
    card(page).get_by_label("Note").fill("Too dear.")
    card(page).get_by_role("button", name="Reject").click()
    state(page, "completed")
    expect(page.locator(".question .outcome")).to_have_text("Rejected; Too dear.")


@pytest.mark.slow
def test_note_of_a_person_stands_in_for_the_result_of_a_tool(page: Page) -> None:
    begin(page, 'prompt(kind="tool_call")')
    answer = card(page).get_by_role("button", name="Use the note as the result")
    answer.click()
    expect(card(page).locator(".errorlist")).to_have_text(["Write the result into the note."])
    card(page).get_by_label("Note").fill("Ordered by telephone.")
    answer.click()
    state(page, "completed")
    expect(page.locator("#items .text")).to_contain_text("Ordered by telephone.")


@pytest.mark.slow
def test_axe_finds_nothing(page: Page) -> None:
    begin(page, 'prompt(kind="form")')
    card(page).get_by_label("First day").fill("2026-11-22")
    card(page).get_by_label("Days").fill("2")
    card(page).get_by_role("button", name="Answer").click()
    expect(card(page).locator(".errorlist")).to_have_count(1)
    assert_accessible(page)
    for kind in ("proposal", "tool_call"):
        begin(page, f'prompt(kind="{kind}")')
        if kind == "tool_call":
            assert_accessible(page)
            edit(card(page))
        card(page).get_by_label("Pieces").fill("4")
        assert_accessible(page)
    begin(page, "ask_together()", cards=1)
    assert_accessible(page)


def receipt(name: str = "taxi.csv", content: bytes = b"1,2") -> Any:
    return {"name": name, "mimeType": "text/csv", "buffer": content}


@pytest.mark.slow
def test_a_file_is_given_in_a_form_and_read_by_the_workflow(page: Page) -> None:
    begin(page, 'prompt(kind="receipt")')
    form = card(page)
    form.get_by_label("Euro").fill("12.50")
    for wrong, problem in (
        (receipt("taxi.exe"), ".exe files are not allowed. Allowed: "),
        (receipt(content=b"x"), "That is no table."),
    ):
        form.get_by_label("Receipt").set_input_files([wrong])
        form.get_by_role("button", name="Answer").click()
        expect(form.locator(".errorlist")).to_contain_text(problem)
        expect(form.get_by_label("Receipt")).to_be_focused()
        expect(form.get_by_label("Euro")).to_have_value("12.50")
    form.get_by_label("Receipt").set_input_files([receipt()])
    form.get_by_role("button", name="Answer").click()
    state(page, "completed")
    for part in ("'euro': Decimal('12.50')", "'other': None", "taxi.csv b'1,2'"):
        expect(page.locator("#items .text")).to_contain_text(part)
    page.locator(".question summary").click()
    with page.expect_download() as saved:
        page.locator(".question .details").get_by_role("link", name="taxi.csv").click()
    assert saved.value.path().read_bytes() == b"1,2"


@pytest.mark.slow
def test_a_form_with_a_file_can_be_rejected(page: Page, console: Console) -> None:
    console.allow("status of 413")
    begin(page, 'prompt(kind="receipt")', cards=1)
    page.route("**/prompts/**", lambda route: route.fulfill(status=413, body="nginx"), times=1)
    card(page).get_by_role("button", name="Nothing").click()
    expect(card(page).locator(".error")).to_contain_text("Too large for the server")
    card(page).get_by_role("button", name="Nothing").click()
    state(page, "completed")
    expect(page.locator("#items .text")).to_contain_text("None")


@pytest.mark.slow
@pytest.mark.parametrize("script", [True, False])
def test_a_file_is_given_in_the_inbox(
    page: Page, open_page: OpenPage, server: Server, console: Console, *, script: bool
) -> None:
    console.allow("status of 4")
    make_group(server)
    begin(page, 'ask_others(to="managers", kind="receipt")', until="waiting")
    ben = open_page("/inbox/", user="ben", java_script_enabled=script)
    form = card(ben)
    form.get_by_label("Euro").fill("3")
    form.get_by_label("Receipt").set_input_files([receipt(content=b"none")])
    form.get_by_role("button", name="Answer").click()
    expect(form.locator(".errorlist")).to_have_text(["That is no table."])
    expect(form.get_by_label("Euro")).to_have_value("3")
    form.get_by_label("Receipt").set_input_files([receipt()])
    form.get_by_role("button", name="Answer").click()
    expect(card(ben)).to_have_count(0)
    expect(page.locator("#items .text")).to_contain_text("ben: 1,2.")
    # The conversation's owner may save it.
    [file] = server.rows("SELECT id FROM sessions_app_attachment WHERE taken_at IS NOT NULL")
    path = f"{page.url.removeprefix(server.url)}files/{UUID(str(file['id']))}/"
    assert [server.get(path, name).status for name in ("ann", "ben", "user1")] == [200, 404, 404]


@pytest.mark.slow
@pytest.mark.parametrize("script", [True, False], ids=["script", "plain"])
def test_a_picked_time_is_one_of_the_zone_that_the_card_names(
    open_page: OpenPage, script: bool
) -> None:
    in_new_york = {"timezone_id": "America/New_York"}
    page = open_page(None, **in_new_york)
    begin(page, 'prompt(kind="arrival")', cards=1)
    if not script:
        page = open_page(page.url, java_script_enabled=False, **in_new_york)
    form = page.locator("prompt-card")
    zone, shown, stored = (
        ("America/New_York", "2026-12-24T15:00", "2026-12-24 09:00 UTC-05:00")
        if script
        else ("UTC", "2026-12-24T20:00", "2026-12-24 09:00 UTC")
    )
    expect(form.locator("small", has_text="Time zone:")).to_have_text(f"Time zone: {zone}")
    at = form.get_by_label("Arrival")
    expect(at).to_have_value(shown)
    expect(form.locator(".was").first).to_have_text("Proposed: 2026-12-24 20:00 UTC")
    at.fill("2026-12-24T09:00")
    # A refused form keeps the time that was picked.
    form.get_by_label("Flight").fill("none")
    form.get_by_role("button", name="Approve").click()
    expect(form.locator(".errorlist")).to_have_text(["There is no such flight."])
    expect(at).to_have_value("2026-12-24T09:00")
    if script:  # so does a draft after a reload
        page.reload()
        until_connected(page)
        expect(at).to_have_value("2026-12-24T09:00")
    form.get_by_label("Flight").fill("")
    form.get_by_role("button", name="Approve").click()
    expect(page.locator(".question .outcome")).to_contain_text(
        f"Arrival: 2026-12-24 20:00 UTC → {stored}"
    )

"""Three people at once: who asks, and two who may answer, one of them on a phone."""

import re
from typing import Any

import pytest
from playwright.sync_api import Page, WebSocketRoute, expect

from tests.browser.chat_page import begin, card, state, until_connected
from tests.inbox.people import leave_groups, make_group, name_user
from tests.support.browser import Console, OpenPage
from tests.support.server import Server

SEEN = pytest.mark.every_form(reason="others hear through another process", at_each_change=False)
STORIES = pytest.mark.beyond("votes, handed-on prompts and notes reach the pages of all three")

PHONE: dict[str, Any] = {
    "viewport": {"width": 320, "height": 640},
    "has_touch": True,
    "is_mobile": True,
}
QUESTION = "Give ann 3 days off?"


@pytest.fixture(autouse=True)
def _managers(server: Server) -> None:
    make_group(server)


@pytest.fixture
def ben(open_page: OpenPage) -> Page:
    return inbox_of(open_page, "ben")


@pytest.fixture
def other(open_page: OpenPage) -> Page:
    return inbox_of(open_page, "user0", **PHONE)


def inbox_of(open_page: OpenPage, user: str, **options: Any) -> Page:
    page = open_page("/inbox/", user=user, **options)
    until_connected(page)
    return page


@pytest.mark.every_form("what one does, others hear through another process")
@pytest.mark.slow
def test_a_claimed_or_answered_prompt_leaves_other_inboxes_without_a_page_request(
    page: Page, ben: Page, other: Page, console: Console
) -> None:
    console.allow("net::ERR_FAILED")
    begin(page, 'ask_others(to="managers")', until="waiting")
    expect(page.locator("#state .run")).to_contain_text("Waiting for managers")
    line = page.locator(".question")
    expect(line).to_contain_text("Waiting for managers")
    for one in (ben, other):
        expect(card(one).locator("h2")).to_have_text(QUESTION)
        expect(one).to_have_title("(1) Inbox")
        assert one.evaluate("document.documentElement.scrollWidth <= innerWidth")
    ben.wait_for_load_state("networkidle")
    ben.route("**/inbox/", lambda route: route.abort())
    other.locator(".permanent").click()
    other.get_by_role("button", name="Claim").click()
    expect(other.locator(".mine")).to_be_visible()
    expect(other.get_by_role("status").filter(has_text="Claimed:")).to_contain_text(QUESTION)
    expect(card(ben)).to_have_count(0)
    expect(ben.locator(".place")).to_contain_text("no longer waiting for you")
    expect(ben).to_have_title("Inbox")
    expect(line).to_contain_text("Claimed by user0")
    expect(page.locator("#state .run")).to_contain_text("Claimed by user0")
    other.get_by_role("button", name="Approve").click()
    expect(other.locator(".entry")).to_have_count(0)
    expect(other.locator(".empty")).to_contain_text("Nothing is waiting for you")
    expect(other).to_have_title("Inbox")
    state(page, "completed")
    expect(page.locator("#items .text")).to_have_text("yes.")
    expect(page.locator(".question summary")).to_contain_text("by user0")
    expect(page.locator(".question .via")).to_have_text("from the inbox")


@SEEN
@pytest.mark.slow
def test_a_late_answer_names_the_faster_person(
    page: Page, ben: Page, open_page: OpenPage, console: Console
) -> None:
    console.allow("net::ERR_FAILED")
    slow = open_page(None, user="user0")
    slow.route_web_socket("**/websocket?*", without_waiting)
    begin(page, 'ask_others(to="managers", kind="text")', until="waiting")
    slow.goto("/inbox/")
    until_connected(slow)
    card(slow).locator("textarea").fill("mine")
    slow.route("**/inbox/", lambda route: route.abort())  # it hears nothing of what others do
    card(ben).locator("textarea").fill("theirs")
    card(ben).get_by_role("button", name="Answer").click()
    state(page, "completed")
    card(slow).get_by_role("button", name="Answer").click()
    expect(slow.locator(".stale")).to_contain_text("ben already answered this question.")
    expect(slow.locator(".stale .given")).to_have_text("mine")


@SEEN
@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "button"),
    [
        pytest.param("choice", "Claim", id="a note, and others claim", marks=STORIES),
        pytest.param("choice", "Approve", id="a note, and others answer", marks=STORIES),
        pytest.param("text", "Answer", id="an answer"),
    ],
)
def test_what_is_being_written_stays_when_others_are_faster(
    page: Page, ben: Page, other: Page, kind: str, button: str
) -> None:
    begin(page, f'ask_others(to="managers", kind="{kind}")')
    other.locator(".permanent").click()
    if kind == "text":
        card(ben).locator("textarea").fill("half of my words")
        card(other).locator("textarea").fill("theirs")
    else:
        ben.locator(".claims summary").click()
        # Its opening leads to its first field, which takes all that is typed then.
        expect(ben.get_by_label("To", exact=True)).to_be_focused()
        ben.get_by_label("Message (optional)").fill("half of my words")
    other.get_by_role("button", name=button).click()
    expect(ben.locator(".stale .given")).to_have_text("half of my words")
    expect(other.locator(".entry")).to_have_count(1 if button == "Claim" else 0)
    ben.get_by_role("button", name="Dismiss").click()
    expect(card(ben)).to_have_count(0)


def without_waiting(client: WebSocketRoute) -> None:
    server = client.connect_to_server()

    def forward(frame: str | bytes) -> None:
        if "waiting_message" not in str(frame):
            client.send(frame)

    server.on_message(forward)


@STORIES
@SEEN
@pytest.mark.slow
def test_a_prompt_is_handed_on_by_name_with_a_note_by_the_keyboard(
    page: Page, ben: Page, open_page: OpenPage, server: Server
) -> None:
    name_user(server, "user1", "Una", "One")
    user1 = inbox_of(open_page, "user1")
    expect(user1.locator(".empty")).to_be_visible()
    begin(page, 'ask_others(to="managers")')
    expect(card(ben)).to_have_count(1)
    ben.keyboard.press("j")
    expect(ben.locator(".permanent")).to_be_focused()
    ben.keyboard.press("r")
    to = ben.get_by_label("To", exact=True)
    expect(to).to_be_focused()
    to.fill("nobody-here")
    to.press("Enter")
    expect(ben.locator(".claims .error")).to_contain_text("nobody-here")
    ben.route("**/people?q=ben", lambda route: None)  # never answered
    with ben.expect_request("**/people?q=ben"):
        to.fill("ben")
    # Who is called as was typed before is offered no more.
    with ben.expect_event("requestfailed"):
        to.fill("una")
    expect(ben.locator("#people option")).to_have_attribute("value", "user1")
    expect(ben.locator("#people option")).to_have_text("Una One")
    to.fill("user1")
    to.press("Tab")
    ben.keyboard.type("You know her.")
    ben.keyboard.press("Enter")
    expect(ben.locator(".entry")).to_have_count(0)
    expect(ben.locator("#done")).to_have_text(f"Handed to Una One: {QUESTION} View")
    for one in (page.locator("#items"), user1.locator("#entries")):
        expect(one.locator(".handed-on")).to_have_text("ben: You know her.")
    card(user1).get_by_role("button", name="Reject").click()
    expect(page.locator("#items .text")).to_have_text("no.")


@SEEN
@pytest.mark.slow
def test_four_eyes_exclude_the_asker_in_the_inbox(page: Page, ben: Page, server: Server) -> None:
    make_group(server, "both", ("ann", "ben"))
    begin(page, 'ask_others(to="both", four_eyes=True)')
    expect(card(ben)).to_have_count(1)
    link = page.locator(".question a")
    expect(link).to_have_text("Waiting for both")
    mine = page.context.new_page()
    mine.goto("/inbox/")
    expect(mine.locator(".empty")).to_be_visible()
    mine.goto(link.get_attribute("href") or "")
    expect(mine.locator(".folded")).to_contain_text(QUESTION)
    expect(mine.locator("button:text('Approve')")).to_have_count(0)
    card(ben).get_by_role("button", name="Approve").click()
    expect(mine.locator(".outcome")).to_contain_text("ben, from the inbox")


@STORIES
@SEEN
@pytest.mark.slow
def test_two_votes_settle_a_prompt(page: Page, ben: Page, other: Page) -> None:
    begin(page, 'ask_others(to="managers", votes=2)')
    card(ben).get_by_role("button", name="Approve").click()
    expect(ben.locator(".entry")).to_have_count(0)
    vote = "Your vote: Approve – 1 of 2 votes: Give ann 3 days off? View"
    expect(ben.locator("#done")).to_have_text(vote)
    expect(card(other)).to_have_count(1)
    # What others voted is not told before one has.
    expect(other.locator(".claims")).not_to_contain_text("ben")
    # It is among what one has answered, also where another vote decides.
    ben.get_by_role("link", name="Answered by me").click()
    expect(ben.locator(".waits")).to_have_text("Waiting for managers")
    expect(ben.locator(".claims")).to_contain_text("ben: Approve")
    other.locator(".permanent").click()
    card(other).get_by_role("button", name="Approve").click()
    expect(page.locator("#items .text")).to_have_text("yes.")
    ben.reload()
    expect(ben.locator(".outcome")).to_contain_text("Approve")
    ben.get_by_role("link", name="Details and history").click()
    expect(ben.locator("#history")).to_contain_text("Voted: ben")


@SEEN
@pytest.mark.slow
def test_the_owner_among_others_is_told_what_came_of_an_answer_in_the_chat(
    page: Page, ben: Page
) -> None:
    begin(page, 'ask_others(to="@ann,managers", votes=2)', cards=1)
    question = page.locator(".question")
    asked_at = question.get_attribute("data-sequence") or ""
    card(page).get_by_text("Add a note").click()
    card(page).get_by_label("Note").fill("as agreed")
    ben.get_by_role("button", name="Claim").click()
    expect(question).not_to_have_attribute("data-sequence", asked_at)  # it is drawn anew
    expect(card(page).get_by_label("Note")).to_have_value("as agreed")
    approve = card(page).get_by_role("button", name="Approve")
    approve.click()
    expect(card(page).locator(".error")).to_have_text("ben has claimed this question.")
    expect(approve).to_be_enabled()
    ben.get_by_role("button", name="Release").click()
    expect(ben.get_by_role("button", name="Claim")).to_be_visible()
    approve.click()
    expect(ben.locator(".votes")).to_contain_text("1 of 2 votes")
    expect(page.get_by_role("status")).to_have_text("Your vote counts")
    expect(card(page).locator(".progress")).to_have_text("Your vote counts")
    expect(approve).to_be_enabled()
    expect(page.locator(".stale")).to_have_count(0)
    card(ben).get_by_role("button", name="Approve").click()
    expect(page.locator("#items .text")).to_have_text("yes.")


@SEEN
@pytest.mark.slow
def test_without_the_script_a_vote_is_said_to_count(page: Page, open_page: OpenPage) -> None:
    begin(page, 'ask_others(to="@ann,managers", votes=2)', cards=1)
    plain = open_page(page.url, java_script_enabled=False)
    card(plain).get_by_role("button", name="Approve").click()
    expect(plain.locator(".notice")).to_have_text("Your vote counts")


@SEEN
@pytest.mark.slow
def test_the_permission_goes_while_the_card_is_open(
    page: Page, ben: Page, server: Server, console: Console
) -> None:
    console.allow("status of 404")
    begin(page, 'ask_others(to="managers", kind="text")')
    card(ben).locator("textarea").fill("typed")
    prompt = ben.locator(".permanent").get_attribute("href") or ""
    leave_groups(server, "ben")
    card(ben).get_by_role("button", name="Answer").click()
    expect(ben.locator(".stale")).to_contain_text("This question is no longer waiting for you.")
    expect(ben.locator(".stale .given")).to_have_text("typed")
    second_page = ben.context.new_page()
    answer = second_page.goto(prompt)
    assert answer is not None
    assert answer.status == 404
    ben.get_by_role("button", name="Dismiss").click()
    expect(ben.locator(".entry")).to_have_count(0)
    state(page, "waiting")


@SEEN
@pytest.mark.slow
def test_a_prompt_due_for_escalation_during_an_outage_escalates_after_it(
    page: Page, ben: Page, open_page: OpenPage, server: Server
) -> None:
    make_group(server, "directors", ("user1",))
    director = inbox_of(open_page, "user1")
    begin(page, 'ask_others(to="managers", escalate="directors")')
    ben.get_by_role("button", name="Claim").click()
    expect(ben.locator(".mine")).to_be_visible()
    expect(director.locator(".empty")).to_be_visible()
    server.kill()
    # A minute has passed since it was asked.
    server.execute("UPDATE sessions_app_interaction SET escalates_at = created_at")
    server.restart()
    expect(director.locator(".entry h2")).to_have_text(QUESTION)
    # Whoever had claimed it holds it no longer.
    expect(ben.get_by_role("button", name="Claim")).to_be_visible()
    director.get_by_role("link", name="Details and history").click()
    expect(director.locator("#history")).to_contain_text("Escalated → directors")
    card(director).get_by_role("button", name="Approve").click()
    expect(page.locator("#items .text")).to_have_text("yes.")
    expect(card(ben)).to_have_count(0)
    expect(ben.locator(".place")).to_contain_text("Approve")


@SEEN
@pytest.mark.slow
def test_signed_out_in_another_tab_the_text_stays(page: Page, ben: Page, server: Server) -> None:
    begin(page, 'ask_others(to="managers", kind="text")')
    card(ben).locator("textarea").fill("typed")
    server.sign_out("ben")
    expect(ben.locator("#connection")).to_have_attribute("data-state", "signedOut")
    expect(ben.get_by_role("link", name="Sign in")).to_have_attribute(
        "href", re.compile("next=/inbox/")
    )
    expect(card(ben).locator("textarea")).to_have_value("typed")


@pytest.mark.beyond("the inbox works without its script")
@SEEN
@pytest.mark.slow
def test_the_inbox_works_without_the_script(page: Page, open_page: OpenPage) -> None:
    begin(page, 'ask_others(to="managers")', until="waiting")
    plain = open_page("/inbox/", user="ben", java_script_enabled=False)
    plain.get_by_role("button", name="Claim").click()
    expect(plain.locator(".mine")).to_be_visible()
    other = open_page("/inbox/?part=claimed", user="user0", java_script_enabled=False)
    expect(other.locator(".waits")).to_have_text("Claimed by ben")
    plain.get_by_text("Reassign…").click()
    plain.get_by_label("To", exact=True).fill("BEN")
    plain.get_by_label("Message (optional)").fill("To myself")
    plain.get_by_role("button", name="Reassign").click()
    expect(plain.locator(".handed-on")).to_have_text("ben: To myself")
    plain.get_by_role("button", name="Undo").click()
    expect(plain.locator(".mine")).to_have_count(0)
    expect(plain.locator("#done")).to_be_empty()
    plain.get_by_role("button", name="Approve").click()
    expect(plain.locator(".empty")).to_be_visible()
    expect(plain.locator("#done")).to_have_text(f"Answered “Approve”: {QUESTION} View")
    expect(plain.locator("h1")).to_have_text("Waiting for you")
    plain.get_by_role("link", name="Answered by me").click()
    expect(plain.locator("h1")).to_have_text("Answered by me")
    expect(plain.locator(".outcome")).to_contain_text("Approve")
    plain.get_by_role("link", name=QUESTION).click()
    expect(plain.locator("#history")).to_contain_text("Answered: ben, from the inbox")
    state(page, "completed")

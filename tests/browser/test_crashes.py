"""The server is killed under an open page: the page comes back by itself and shows the log."""

import pytest
from playwright.sync_api import Page, expect

from tests.browser.chat_page import (
    assert_page_is_log,
    begin,
    card,
    conversation_id,
    open_in_another_tab,
    output_in_log,
    say,
    state,
    until_connected,
)
from tests.browser.writing.test_branches import bubbles, edit, three_messages, versions
from tests.support.server import Server

DIE = "its page follows runs of other processes, and all of them die"
pytestmark = pytest.mark.every_form(DIE, at_each_change=False)


def answer(page: Page, text: str) -> None:
    card(page).locator("textarea").fill(text)
    card(page).get_by_role("button", name="Answer").click()


@pytest.mark.slow
@pytest.mark.every_form(DIE)
def test_a_pending_question_outlives_the_server_in_two_tabs_and_one_answer_settles_both(
    page: Page, server: Server
) -> None:
    begin(page, "ask()", cards=1)
    other = open_in_another_tab(page)
    server.restart()
    other.reload()
    for tab in (page, other):
        until_connected(tab)
        expect(card(tab)).to_have_count(1)
    answer(page, "still here")
    for tab in (page, other):
        state(tab, "completed")
        expect(card(tab)).to_have_count(0)
        expect(tab.locator("#items .text")).to_have_text("still here")
        assert_page_is_log(tab, server)


@pytest.mark.slow
def test_an_answer_given_while_the_server_is_away_arrives_when_it_is_back(
    page: Page, server: Server
) -> None:
    begin(page, "ask()", cards=1)
    server.kill()
    expect(page.locator("#connection")).not_to_have_attribute("data-state", "connected")
    answer(page, "given offline")
    expect(card(page)).to_contain_text("Will be sent when connected")
    server.start()
    state(page, "completed")
    expect(page.locator("#items .text")).to_have_text("given offline")
    assert_page_is_log(page, server)


@pytest.mark.slow
def test_a_message_sent_while_the_server_is_away_is_sent_once_it_is_back(
    page: Page, server: Server
) -> None:
    begin(page, 'echo("one")', until="completed")
    server.kill()
    expect(page.locator("#connection")).not_to_have_attribute("data-state", "connected")
    page.locator("#text").fill('echo("two")')
    page.locator("#text").press("Enter")
    expect(page.locator("#progress")).to_contain_text("Will be sent when connected")
    expect(page.locator("#text")).to_have_value('echo("two")')
    unsent = page.locator(".user").last
    expect(unsent.locator(".bubble")).to_have_text('echo("two")')
    expect(unsent.locator("footer")).to_have_text("Will be sent when connected")
    server.start()
    expect(page.locator("#items .text").last).to_have_text("two")
    expect(page.locator("#text")).to_have_value("")
    expect(page.locator(".user .bubble")).to_have_count(2)
    assert_page_is_log(page, server)


@pytest.mark.slow
@pytest.mark.every_form(DIE)
def test_a_stream_that_is_cut_goes_on_on_the_page(page: Page, server: Server) -> None:
    begin(page, "stream(tokens=150, delay=0.01)")
    expect(page.locator("#items .text").last).to_contain_text("t20 ")
    server.restart()
    state(page, "completed")
    whole = " ".join(f"t{n}" for n in range(150))
    body = page.locator("#items .text .body")
    expect(body).to_have_count(1)  # what was cut makes way
    expect(body).to_have_text(whole)
    assert_page_is_log(page, server)


@pytest.mark.slow
def test_an_interrupted_report_ends_the_same_after_a_restart(page: Page, server: Server) -> None:
    text = "200 a month at 3.5 % for 5 years"
    begin(page, text, workflow="report")
    expect(page.locator("#items table")).not_to_have_count(0)
    server.restart()
    state(page, "completed")
    expect(page.get_by_role("heading", name="In short")).to_have_count(1)
    expect(page.locator("#items")).not_to_contain_text("**")  # all of it is rendered
    expect(page.locator("#items .feedback")).to_have_count(1)  # the last thing that comes
    cut_log, shown_text = (
        output_in_log(server, conversation_id(page)),
        page.locator("#items").inner_text(),
    )
    page.reload()
    expect(page.locator("#items")).to_have_text(shown_text, use_inner_text=True)
    begin(page, text, workflow="report", until="completed")
    assert cut_log == output_in_log(server, conversation_id(page))


@pytest.mark.slow
def test_a_step_that_was_cut_runs_again_and_no_finished_one_does(
    page: Page, server: Server
) -> None:
    begin(page, "step(count=4, seconds=1.5)")
    expect(page.locator("#items .text").last).to_contain_text("s2")
    server.restart()
    state(page, "completed")
    ran = (server.data_dir / "probe.log").read_text().split()[1::2]
    assert ran == ["1", "2", "3", "4"]
    assert_page_is_log(page, server)


@pytest.mark.slow
def test_questions_one_after_another_survive_a_kill_after_each_answer(
    page: Page, server: Server
) -> None:
    begin(page, "approve(count=3)")
    for number in range(1, 4):
        expect(card(page).locator("h2")).to_have_text(f"prompt-{number}")
        until_connected(page)
        card(page).get_by_role("button", name="continue").click()
        # Killed wherever it is: before the commit, after it, or before the next question.
        server.restart()
    state(page, "completed")
    expect(page.locator("#items .text")).to_have_text("continue|continue|continue")
    assert_page_is_log(page, server)
    say(page, 'echo("and on")')
    expect(page.locator("#items .text").last).to_have_text("and on")


@pytest.mark.slow
def test_an_edit_made_offline_is_sent_once_after_reconnecting(page: Page, server: Server) -> None:
    three_messages(page)
    server.kill()
    expect(page.locator("#connection")).to_contain_text("Reconnecting")
    edit(page, 'echo("b")', 'echo("b2")')
    server.restart()
    bubbles(page, 'echo("a")', 'echo("b2")')
    versions(page, "2 of 2")

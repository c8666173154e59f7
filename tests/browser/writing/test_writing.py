"""Sending and stopping: what is typed is never lost, and sent once."""

import json
import re

import pytest
from playwright.sync_api import Page, Route, WebSocket, WebSocketRoute, expect

from tests.browser.chat_page import (
    assert_page_is_log,
    begin,
    card,
    conversation_id,
    output_on_page,
    say,
    sign_in,
    state,
    until_connected,
)
from tests.support.browser import Console, OpenPage
from tests.support.server import Server

pytestmark = pytest.mark.formless  # what the page does is the same; see test_crashes.py for both

ITEMS = re.compile(r"/items/\?")


@pytest.mark.slow
def test_output_is_on_the_page_once_and_announced_by_its_length(page: Page, server: Server) -> None:
    begin(page, "stream(tokens=900)", until="completed")
    assert output_on_page(page) == " ".join(f"t{number}" for number in range(900))
    expect(page.locator("#status")).to_have_text("Answer complete, 900 words")
    assert_page_is_log(page, server)


@pytest.mark.slow
def test_a_draft_outlives_a_reload_and_is_its_writers(
    page: Page, server: Server, console: Console
) -> None:
    console.allow("status of 409")  # the page of the one reads nothing as the other
    begin(page, 'echo("hi")', until="completed")
    page.locator("#text").fill("not yet sent")
    for user, draft in (("ben", ""), ("ann", "not yet sent")):
        sign_in(page, server, user)
        page.reload()
        until_connected(page)
        expect(page.locator("#text")).to_have_value(draft)
    say(page, 'echo("now")')
    page.reload()
    expect(page.locator("#text")).to_have_value("")


@pytest.mark.slow
def test_a_starter_leaves_what_was_begun_to_be_sent_later(page: Page) -> None:
    page.goto("/c/")
    until_connected(page)
    page.locator("#text").fill("my own words")
    starter = page.locator(".starters button").first
    words = starter.inner_text()
    starter.click()
    expect(page.locator(".user .bubble")).to_have_text(words)
    for _ in range(2):
        expect(page.locator("#text")).to_have_value("my own words")
        page.reload()
        until_connected(page)


@pytest.mark.slow
def test_a_message_is_sent_again_under_its_id_until_it_was_taken(page: Page) -> None:
    """First the page's message is lost, then its acknowledgement."""
    ids: list[str] = []

    def connect(socket: WebSocketRoute) -> None:
        server = socket.connect_to_server()

        def send(frame: str | bytes) -> None:
            is_message = '"user_message"' in str(frame)
            if is_message:
                ids.append(json.loads(frame)["id"])
            if not is_message or len(ids) > 1:
                server.send(frame)

        def receive(frame: str | bytes) -> None:
            if '"ack_message"' not in str(frame):
                socket.send(frame)

        socket.on_message(send)
        server.on_message(receive)

    page.route_web_socket("**/websocket?*", connect)
    page.goto("/c/")
    until_connected(page)
    page.locator("#text").fill('echo("once")')
    for count in (1, 2):
        expect(page.locator("#text")).to_have_value('echo("once")')
        page.locator("#text").press("Enter")
        while len(ids) < count:
            page.wait_for_timeout(20)
        if count == 2:
            expect(page.locator(".user .bubble")).to_have_text('echo("once")')
        page.reload()
        until_connected(page)
    assert ids[0] == ids[1]
    expect(page.locator("#text")).to_have_value("")


@pytest.mark.slow
def test_an_answer_whose_acknowledgement_was_lost_is_sent_again_as_one_that_was_used(
    page: Page, console: Console
) -> None:
    console.allow("ERR_FAILED")
    outcomes: list[str] = []

    def lose_first(route: Route) -> None:
        response = route.fetch()
        outcomes.append(response.json()["outcome"])
        if len(outcomes) == 1:
            route.abort()
        else:
            route.fulfill(response=response)

    begin(page, "ask()")
    page.route("**/prompts/**", lose_first)
    card(page).locator("textarea").fill("Eve")
    card(page).get_by_role("button", name="Answer").click()
    state(page, "completed")
    while len(outcomes) < 2:
        page.wait_for_timeout(20)
    expect(page.locator(".stale")).to_have_count(0)
    assert outcomes == ["accepted", "duplicate"]


@pytest.mark.slow
def test_enter_sends_but_for_the_end_of_a_line_or_of_a_composition(page: Page) -> None:
    begin(page, 'echo("hi")', until="completed")
    field = page.locator("#text")
    field.press_sequentially("echo(")
    field.press("Shift+Enter")
    field.press_sequentially('"a")')
    field.dispatch_event("keydown", {"key": "Enter", "isComposing": True})
    field.dispatch_event("keydown", {"key": "Enter", "keyCode": 229})
    expect(field).to_have_value('echo(\n"a")')
    field.press("Enter")
    expect(page.locator(".user .bubble").last).to_have_text('echo(\n"a")', use_inner_text=True)


@pytest.mark.slow
def test_a_message_queued_offline_can_be_edited(page: Page, server: Server) -> None:
    begin(page, 'echo("hi")', until="completed")
    server.kill()
    expect(page.locator("#connection")).to_contain_text("Reconnecting")
    page.locator("#text").fill('echo("no")')
    page.locator("#text").press("Enter")
    page.get_by_role("button", name="Edit").click()
    page.locator("#text").fill('echo("yes")')
    server.restart()
    until_connected(page)
    page.locator("#text").press("Enter")
    expect(page.locator("#items .text").last).to_have_text("yes")
    expect(page.locator(".user")).to_have_count(2)


@pytest.mark.slow
def test_missed_items_appear_after_a_reconnect(
    page: Page, open_page: OpenPage, server: Server, console: Console
) -> None:
    console.allow("ERR_INTERNET_DISCONNECTED")
    begin(page, 'echo("hi")', until="completed")
    other = open_page(page.url)
    until_connected(other)
    page.context.set_offline(True)
    expect(page.locator("#connection")).to_contain_text("Your text is kept")
    say(other, "stream(tokens=500)")
    state(other, "completed")
    page.context.set_offline(False)
    state(page, "completed")
    expect(page.locator(".user")).to_have_count(2)
    assert_page_is_log(page, server)


@pytest.mark.slow
def test_a_stopped_run_shows_a_note_and_no_stop_button(page: Page, server: Server) -> None:
    begin(page, "stream(tokens=2000, delay=0.02)")
    for number in (2, 5):  # also on a page that was opened in the midst of it
        expect(page.locator("#items .text")).to_contain_text(f"t{number} ")
        page.reload()
    page.get_by_role("button", name="Stop").click()
    state(page, "cancelled")
    expect(page.locator(".note")).to_contain_text("Stopped")
    expect(page.get_by_role("button", name="Stop")).to_have_count(0)
    assert_page_is_log(page, server)


@pytest.mark.slow
def test_a_stopped_run_is_seen_to_be_stopping_and_can_be_tried_again(page: Page) -> None:
    begin(page, "undo(count=1, seconds=3)", cards=1)
    page.get_by_role("button", name="Stop").click()
    state(page, "stopping")
    state(page, "cancelled")
    expect(card(page)).to_have_count(0)
    expect(page.locator(".question")).to_contain_text("Cancelled")
    page.get_by_role("button", name="Try again").click()
    expect(card(page)).to_have_count(1)
    expect(page.locator(".user")).to_have_count(1)
    expect(page.get_by_role("button", name="Try again")).to_have_count(0)


@pytest.mark.slow
def test_a_run_that_failed_says_why(page: Page) -> None:
    begin(page, 'fail(text="")', until="failed")
    expect(page.locator(".note")).to_contain_text("Failed")
    expect(page.get_by_role("button", name="Try again")).to_be_visible()
    expect(page.locator("#alert")).to_have_text("The run failed")


@pytest.mark.slow
def test_signed_out_keeps_the_draft_and_leads_to_sign_in(page: Page, server: Server) -> None:
    page.clock.install()
    begin(page, 'echo("hi")', until="completed")
    page.locator("#text").fill("kept")
    page.context.clear_cookies()
    server.restart()
    expect(page.locator("#connection")).to_contain_text("Signed out")
    link = page.get_by_role("link", name="Sign in")
    expect(link).to_have_attribute("href", f"/sign-in/?next=/c/{conversation_id(page)}/")
    expect(page.locator("#text")).to_have_value("kept")
    sockets: list[WebSocket] = []
    page.on("websocket", lambda socket: sockets.append(socket))
    page.clock.run_for(30_000)
    expect(page.locator("#connection")).to_contain_text("Signed out")
    assert sockets == []  # no try would help


@pytest.mark.slow
def test_what_could_not_be_loaded_is_loaded_once_the_socket_is_back(
    page: Page, server: Server, console: Console
) -> None:
    console.allow("Failed to load resource|WebSocket connection")
    tries: list[Route] = []

    def refuse(route: Route) -> None:
        tries.append(route)
        route.abort()

    page.clock.install()
    begin(page, 'echo("one")', until="completed")
    page.route(ITEMS, refuse)
    page.locator("#text").fill('echo("two")')
    page.locator("#text").press("Enter")
    expect(page.locator("#text")).to_have_value("")
    page.clock.pause_at(page.evaluate("Date.now() + 1000"))
    while len(tries) < 4:  # the next wait is of eight seconds and more
        page.clock.run_for(500)
    page.unroute(ITEMS)
    server.restart()
    expect(page.locator("#connection")).not_to_have_attribute("data-state", "connected")
    page.evaluate("dispatchEvent(new Event('online'))")
    until_connected(page)
    page.clock.run_for(100)
    expect(page.locator(".user .bubble").last).to_have_text('echo("two")')


@pytest.mark.slow
def test_the_page_reports_twenty_seconds_without_news(page: Page) -> None:
    page.clock.install()
    begin(page, "ask(delay=60)", until="working")
    page.clock.run_for(15_000)
    expect(page.locator("#state")).not_to_contain_text("No news")
    page.clock.run_for(8_000)
    expect(page.locator("#state")).to_contain_text("No news for 2")


@pytest.mark.slow
def test_a_draft_of_a_new_conversation_is_found_by_new_conversation(page: Page) -> None:
    page.goto("/c/")
    until_connected(page)
    page.locator("#text").fill("not yet sent")
    path = page.url
    page.goto("/inbox/")
    page.goto("/c/?workflow=report")
    until_connected(page)
    expect(page.locator("#text")).to_have_value("not yet sent")
    assert page.url == f"{path}?workflow=report"
    expect(page.locator("input[value=report]")).to_be_checked()
    page.locator("#text").fill("")
    page.goto("/c/")
    until_connected(page)
    assert page.url != path
    begin(page, 'echo("sent")', until="completed")
    page.get_by_role("link", name="New conversation").click()
    until_connected(page)
    expect(page.locator("#empty")).to_be_visible()
    expect(page.locator("#text")).to_have_value("")


@pytest.mark.slow
def test_a_touch_keyboard_names_what_enter_does(open_page: OpenPage) -> None:
    for options, hint in (({"has_touch": True, "is_mobile": True}, "enter"), ({}, "send")):
        field = open_page("/c/", **options).locator("#text")
        expect(field).to_have_js_property("enterKeyHint", hint)

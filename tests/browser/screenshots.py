"""`make screenshots`: each state of the pages, in several sizes and both themes, to look at."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.core.signing import TimestampSigner
from django.template.loader import render_to_string
from playwright.sync_api import Page, Route, expect

from tests.browser.chat_page import answer, begin, card, open_new, say, state, until_connected
from tests.browser.look import SCHEMES, SETTLE
from tests.browser.test_visual import ADMIN, FORMS, LISTS, open_first_row
from tests.browser.writing.test_attaching import PNG, choose, file, until_uploaded
from tests.conftest import NewServer
from tests.inbox.people import make_group, send_question
from tests.page.test_deceiving_cards import CARDS, call
from tests.support.browser import Console, OpenPage
from tests.support.polling import until
from tests.support.server import Server, environment

pytestmark = pytest.mark.timeout(900)

# Phones, a tablet, laptops, and the space left over a keyboard.
SIZES = [
    *((320, 568), (360, 740), (390, 844)),
    *((1024, 768), (1280, 720), (1440, 900), (640, 256)),
]
FOLDER = Path("screenshots")
# The widest that are touched, and on which the list of conversations is a drawer.
TOUCHED = 768

MARKDOWN = Path(__file__).with_name("everything.md")
# The types of prompts of the probe, beside those of the example that asks for money.
KINDS = ("details", "form", "proposal", "receipt", "tool_call", "link", "oauth_consent")
PROMPTS = {"risky": "ask_destructive()"} | {kind: f'prompt(kind="{kind}")' for kind in KINDS}
# Pages that are one sheet, for whom they are drawn.
SHEETS = {
    "sign-in": ("/sign-in/", None),
    "sign-in-failed": ("/sign-in/?link=failed", None),
    "settings": ("/settings/", "ann"),
    "password": ("/password/", "ann"),
    "rename": ("/c/kept/title/", "ann"),
    "not-found": ("/nothing-here/", "ann"),
}
# Of those that come where something is away, wrong, or not set up here: their templates.
TEMPLATES: dict[str, tuple[str, dict[str, Any]]] = {
    "unavailable": ("chat_app/unavailable.html", {}),
    "not-allowed": ("403.html", {}),
    "not-sent": ("403_csrf.html", {}),
    "error": ("500.html", {}),
}
# The deeds of a person in the inbox, and what confirms each.
DEEDS = {"Claim": "Claimed", "Approve": "Approved", "Reject": "Your vote"}
# Of the first question: no server of a test sends anything.
NOTICES = """
    INSERT INTO sessions_app_pendingsignal
        (name, run_id, interaction_id, about, attempts, due_at, outcome, error)
    SELECT 'notice_due', run_id, id, json_object(?, ?), 0, '2100-01-01', '', ?
    FROM sessions_app_interaction LIMIT 1
"""


def draw(page: Page, name: str, *, narrow: bool = False, first: str = "") -> None:
    """Draw the page in each size and theme, after the script `first`; `narrow`: as on phones.

    Once touch was emulated nothing hovers before the next load: what only comes into sight under a
    pointer is in all pictures.
    """
    screen = page.context.new_cdp_session(page)
    FOLDER.mkdir(exist_ok=True)
    for width, height in SIZES:
        if narrow and width > TOUCHED:
            continue
        screen.send("Emulation.setTouchEmulationEnabled", {"enabled": width <= TOUCHED})
        page.set_viewport_size({"width": width, "height": height})
        page.wait_for_timeout(150)
        if first:
            page.evaluate(first)
        for scheme in SCHEMES:
            page.emulate_media(color_scheme=scheme)
            page.wait_for_timeout(150)
            page.evaluate(SETTLE)
            page.screenshot(path=FOLDER / f"{name}-{width}x{height}-{scheme}.png")
    screen.send("Emulation.setTouchEmulationEnabled", {"enabled": False})
    screen.detach()


def scroll(selector: str, block: str = "start") -> str:
    return f"document.querySelector({selector!r})?.scrollIntoView({{block: {block!r}}})"


@pytest.fixture
def server(new_server: NewServer) -> Server:
    return new_server(GUESTS="true")


@pytest.fixture
def chat(open_page: OpenPage) -> Page:
    page = open_page("/c/")
    until_connected(page)
    return page


def test_draw_answers(chat: Page) -> None:
    draw(chat, "chat-01-empty")
    begin(chat, "200 a month at 3.5 % for 2 years", workflow="report", until="completed")
    draw(chat, "chat-02-report-end")
    chat.locator(".step summary").evaluate_all("each => each.forEach(one => one.click())")
    draw(chat, "chat-03-report-steps", first=scroll(".user"))
    begin(chat, f"echo({MARKDOWN.read_text()!r})", until="completed")
    for number, part in enumerate(("h3", "figure", ".body [role=group]", "math, .footnote")):
        draw(chat, f"chat-04-markdown-{number}", first=scroll(f".body :is({part})"))
    begin(chat, "step(count=3)", until="completed")
    chat.locator(".thumb").last.hover()
    chat.locator("[data-thumb='👎']").click()
    chat.get_by_text("Comment").click()
    draw(chat, "chat-05-steps-feedback")
    begin(chat, "stream(tokens=300, delay=0.06)")
    expect(chat.locator("#items .text")).to_contain_text("t20 ")
    draw(chat, "chat-06-working")
    chat.get_by_role("button", name="Stop").click()
    state(chat, "cancelled")
    draw(chat, "chat-07-stopped")
    begin(chat, 'fail(text="")', until="failed")
    draw(chat, "chat-08-failed")


def test_draw_around(chat: Page) -> None:
    for words in (
        'echo("apples")',
        "approve(count=1)",
        'fail(text="")',
        f"echo({'a title that is long ' * 4!r})",
    ):
        begin(chat, words)
    chat.get_by_role("searchbox").fill("apple")
    expect(chat.locator("#list li")).to_have_count(1)
    open_drawer = "sidebar.togglePopover(document.querySelector('.menu').checkVisibility())"
    draw(chat, "list-1-found", first=open_drawer)
    chat.get_by_role("searchbox").fill("nothing of this")
    expect(chat.locator("#list .empty")).to_be_visible()
    draw(chat, "list-2-nothing-found", narrow=True, first=open_drawer)
    open_new(chat)
    draw(chat, "list-3-elsewhere")
    chat.locator("#list summary").nth(1).evaluate("each => each.click()")
    draw(chat, "list-4-menu", first=open_drawer)
    chat.reload()
    until_connected(chat)
    chat.evaluate("help.showPopover()")
    draw(chat, "help-1-chat")
    chat.keyboard.press("Escape")
    begin(chat, 'echo("to be deleted")', until="completed")
    chat.get_by_role("link", name="Edit").first.click()
    draw(chat, "chat-09-editing")
    entry = chat.locator("#list li", has_text="to be deleted")
    entry.locator("summary").evaluate("each => each.click()")
    entry.locator("button").evaluate("each => each.click()")
    expect(chat.get_by_role("heading", name="This conversation is deleted")).to_be_visible()
    draw(chat, "sheet-deleted")


def test_draw_files_and_connection(chat: Page, server: Server) -> None:
    chat.locator("input[name=workflow][value=probe]").check()
    choose(chat, file("expenses of the whole year.csv"), file("dot.png", PNG))
    until_uploaded(chat, 2)
    draw(chat, "files-1-chosen")
    say(chat, "describe_files()")
    state(chat, "completed")
    draw(chat, "files-2-sent")
    chat.locator("#text").fill("Half a sentence")
    chat.context.set_offline(True)
    expect(chat.locator("#connection")).to_have_attribute("data-state", "offline")
    draw(chat, "connection-1-offline")
    chat.context.set_offline(False)
    server.kill()
    expect(chat.locator("#connection")).to_have_attribute("data-state", "waiting")
    draw(chat, "connection-2-away")


def test_draw_questions(chat: Page, server: Server) -> None:
    make_group(server)
    begin(chat, "stream(tokens=300, delay=0.001)", until="completed")
    say(chat, "approve(count=1)")
    expect(card(chat)).to_have_count(1)
    draw(chat, "question-01-at-its-place", first="scroller.scrollTop = 1e6")
    draw(chat, "question-02-docked", first="scroller.scrollTop = 0")
    begin(chat, "We will publish the list.", workflow="parallel_review", cards=3)
    draw(chat, "question-03-several", first="scroller.scrollTop = 1e6")
    chat.locator("prompt-card:not([data-folded]) [data-all]").dispatch_event("click")
    draw(chat, "question-04-all")
    for name, words in PROMPTS.items():
        begin(chat, words, cards=1)
        draw(chat, f"question-05-{name}", first=scroll("prompt-card"))
    answer(card(chat).locator("form"))
    begin(chat, 'prompt(kind="form")', cards=1)
    card(chat).get_by_role("button", name="Submit").or_(card(chat).locator(".primary")).click()
    draw(chat, "question-06-wrong", first=scroll("prompt-card"))
    begin(chat, "ask_together()", cards=1)
    draw(chat, "question-07-together", first=scroll("prompt-card"))
    begin(chat, "Note: buy milk", workflow="assistant", cards=1)
    draw(chat, "question-08-tool")
    for name in CARDS:
        begin(chat, f"ask_tool_call({call(name, editable=True)!r})", cards=1)
        draw(chat, f"question-10-{name}", first=scroll("prompt-card"))
    begin(chat, 'ask_others(to="managers")', until="waiting")
    draw(chat, "question-09-waits-for-others")


def test_draw_types(chat: Page) -> None:
    begin(chat, "Dinner with a customer", workflow="expense_approval")
    for number in range(7):
        expect(card(chat).first.or_(chat.locator("#state [data-name=completed]"))).to_be_visible()
        if not card(chat).count():
            break
        form = card(chat).locator("form")
        draw(chat, f"types-{number}-{form.get_attribute('data-type')}")
        answered = card(chat).get_attribute("id")
        answer(form)
        expect(chat.locator(f"#{answered}")).to_have_count(0)
    chat.locator(".question summary").first.click()
    draw(chat, "types-end")


@pytest.fixture
def inbox(open_page: OpenPage, server: Server) -> Page:
    """Return ben's inbox, before anybody asks."""
    make_group(server)
    return open_page("/inbox/", user="ben")


def fill_inbox(open_page: OpenPage, server: Server) -> None:
    """Have ann and ben ask: some questions that are alike, one of each other kind."""
    many = ("", "due=7200", "days=20, votes=2", "days=5", "kind='text'")
    for number, words in enumerate(many):
        send_question(server, words, name=str(number))
    begin(open_page(None, user="ben"), "ask_destructive()", cards=1)


def test_draw_inbox(inbox: Page, open_page: OpenPage, server: Server) -> None:
    draw(inbox, "inbox-1-empty")
    fill_inbox(open_page, server)
    expect(card(inbox)).to_have_count(6)
    draw(inbox, "inbox-2-questions")
    inbox.locator(".claims button", has_text="Claim").first.dispatch_event("click")
    expect(inbox.locator(".mine")).to_have_count(1)
    inbox.locator(".group input").first.check()
    draw(inbox, "inbox-3-several")
    entry = inbox.locator(".entry", has_text="20 days")
    entry.dispatch_event("focusin")
    entry.locator(".claims details").evaluate("each => { each.open = true; }")
    at = f"#{entry.get_attribute('id')} .claims"
    draw(inbox, "inbox-4-reassign", first=scroll(at, "center"))
    inbox.evaluate("help.showPopover()")
    draw(inbox, "help-2-inbox")
    inbox.keyboard.press("Escape")
    inbox.locator(".several:visible .primary").click()
    draw(inbox, "inbox-5-review")
    inbox.locator(".review button").click()
    draw(inbox, "inbox-6-sent")
    for part in ("answered", "others", "&q=nothing+of+this"):
        inbox.goto(f"/inbox/?part={part}")
        draw(inbox, f"inbox-7-{part.strip('&').partition('=')[0]}")


def test_draw_inbox_deeds(inbox: Page, server: Server) -> None:
    """Draw what stands above the questions after each deed, in the list and over it."""
    for number, words in enumerate(("days=1", "days=2, votes=2", "days=3", "days=4")):
        send_question(server, f"{words}, due={600 + number}", name=str(number))
    expect(card(inbox)).to_have_count(4)
    inbox.set_viewport_size({"width": 390, "height": 844})
    inbox.locator(".permanent").first.click()
    draw(inbox, "deed-1-open", narrow=True)
    for number, (name, words) in enumerate(DEEDS.items(), start=2):
        inbox.set_viewport_size({"width": 390, "height": 844})
        inbox.locator("[data-over] button", has_text=name).first.click()
        expect(inbox.locator("#done")).to_contain_text(words)
        draw(inbox, f"deed-{number}-{name.lower()}", narrow=True)


def test_draw_prompt(inbox: Page, open_page: OpenPage, server: Server) -> None:
    send_question(server, "days=20, votes=2, share=True")
    expect(card(inbox)).to_have_count(1)
    inbox.goto(inbox.locator(".permanent").get_attribute("href") or "")
    until_connected(inbox)
    inbox.locator("#shared summary").click()
    draw(inbox, "prompt-1-open")
    card(inbox).get_by_role("button", name="Approve").click()
    expect(inbox.locator(".voted")).to_be_visible()
    draw(inbox, "prompt-2-voted")


def test_draw_linked_prompt(open_page: OpenPage, server: Server) -> None:
    """Draw what a guest sees who comes by the link to a prompt."""
    begin(open_page(None), 'prompt(kind="form")', cards=1)
    sql = "SELECT i.id, c.owner_id FROM sessions_app_interaction i, sessions_app_conversation c"
    [asked] = server.rows(sql)
    signer = TimestampSigner(
        key=environment(server.data_dir)["SECRET_KEY"], salt="chat_app.prompt_links"
    )
    token = signer.sign(f"{UUID(asked['id'])}:{asked['owner_id']}")
    page = open_page(f"/p/linked/{token}/", user=None)
    draw(page, "linked-1-open")
    page.get_by_label("First day").fill("2026-11-23")
    page.get_by_label("Days").fill("2")
    page.get_by_role("button", name="Answer").click()
    expect(page.locator(".folded")).to_be_visible()
    draw(page, "linked-2-answered")


def test_draw_german(open_page: OpenPage, server: Server) -> None:
    """Draw a sample in longer words."""
    make_group(server)
    chat = open_page("/c/", locale="de-DE")
    draw(chat, "german-1-empty")
    begin(chat, "ask_destructive()", cards=1)
    draw(chat, "german-2-question")
    inbox = open_page("/inbox/", user="ben", locale="de-DE")
    fill_inbox(open_page, server)
    expect(card(inbox)).to_have_count(6)
    inbox.locator(".claims details").first.evaluate("each => { each.open = true; }")
    draw(inbox, "german-3-inbox")
    draw(inbox, "german-4-claims", first=scroll(".claims"))
    draw(open_page("/settings/", locale="de-DE"), "german-5-settings")


def test_draw_sheets(open_page: OpenPage, server: Server, console: Console) -> None:
    console.allow("404")
    send_question(server)
    for name, (address, user) in SHEETS.items():
        draw(open_page(address, user=user), f"sheet-{name}")
    draw_templates(open_page(None), TEMPLATES)


def draw_templates(page: Page, templates: Mapping[str, tuple[str, dict[str, Any]]]) -> None:
    """Draw pages that are made of a template alone, by name."""
    for name, (template, context) in templates.items():
        html = render_to_string(template, context)
        page.route("**/away/", partial(Route.fulfill, body=html, content_type="text/html"))
        page.goto("/away/")
        draw(page, f"sheet-{name}")


def test_draw_admin_lists(admin: Page, server: Server) -> None:
    server.execute(NOTICES, "mail", "1", "")
    server.execute(NOTICES, "webhook", "prompt.opened", "HTTP Error 500: Internal Server Error")
    draw(admin, "admin-index")
    admin.goto(f"{ADMIN}/interaction/answers/")
    draw(admin, "admin-answers")
    for model in (*LISTS, "pendingsignal", "attachment", "feedback"):
        admin.goto(f"{ADMIN}/{model}/")
        draw(admin, f"admin-list-{model}")
    for model in ("chat_app/apikey", "hitl_oauth/oauthgrant", "auth/user"):
        admin.goto(f"/admin/{model}/")
        draw(admin, f"admin-list-{model.partition('/')[2]}")
    admin.goto(f"{ADMIN}/run/?q=nothing+of+this&status__exact=failed")
    draw(admin, "admin-list-nothing-found")
    for number in (0, 2):
        admin.goto(f"{ADMIN}/interaction/")
        admin.locator("#filters summary").nth(number).click()
        draw(admin, f"admin-list-filter-{number}")


def test_draw_admin_rows(admin: Page) -> None:
    for model in LISTS:
        open_first_row(admin, model)
        draw(admin, f"admin-{model}")
        folded = admin.locator("#content details")
        folded.evaluate_all("each => each.forEach(details => { details.open = true; })")
        draw(admin, f"admin-{model}-open", first=scroll("#content details"))
        address = admin.url
        for form in FORMS.get(model, ()):
            admin.goto(address.replace("change", form))
            draw(admin, f"admin-{model}-{form}")


def test_draw_admin_actions(admin: Page, open_page: OpenPage, server: Server) -> None:
    begin(open_page(None), "wait_for(count=1)")
    until(lambda: server.rows("SELECT 1 FROM sessions_app_journalentry WHERE kind = 'wait'"))
    open_first_row(admin, "run")
    address = admin.url
    admin.goto(address.replace("change", "send"))
    draw(admin, "admin-send")
    admin.locator("textarea").fill("no JSON")
    admin.locator("[type=submit].default").click()
    draw(admin, "admin-send-wrong")
    admin.goto(address)
    admin.get_by_role("button", name="Stop").click()
    draw(admin, "admin-list-message")
    admin.goto(address.replace("change", "history"))
    draw(admin, "admin-history")
    admin.goto(f"{ADMIN}/interaction/?waits=unclaimed")
    admin.locator("#result_list tbody th a").first.click()
    admin.get_by_role("button", name="Reassign").click()
    draw(admin, "admin-reassign")
    admin.get_by_label("Users").fill("nobody")
    admin.locator("[type=submit].default").click()
    draw(admin, "admin-reassign-wrong")


def test_draw_admin_keys(admin: Page, open_page: OpenPage) -> None:
    admin.goto("/admin/chat_app/apikey/add/")
    draw(admin, "admin-key")
    admin.get_by_label("User").fill("nobody")
    admin.locator("[name=_save]").click()
    draw(admin, "admin-key-wrong")
    admin.get_by_label("User").fill("ann")
    admin.get_by_label("Name").fill("robot")
    admin.locator("[name=_save]").click()
    draw(admin, "admin-key-shown")
    open_first_row(admin, "conversation")
    admin.goto(admin.url.replace("change", "delete"))
    draw(admin, "admin-delete")
    admin.goto(f"{ADMIN}/conversation/")
    admin.locator("#action-toggle").check()
    admin.locator("[name=action]").select_option("delete_selected")
    admin.get_by_role("button", name="Go").click()
    draw(admin, "admin-delete-several")
    draw(open_page("/admin/"), "admin-not-for-you")

"""Files on a message, as a person gives them: chosen, pasted, dropped, and by the plain form."""

import base64
from functools import partial
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.chat_page import assert_page_is_log, begin, say, state, until_connected
from tests.browser.look import assert_accessible
from tests.support.browser import Console, OpenPage
from tests.support.server import Server

pytestmark = pytest.mark.formless  # how it looks does not depend on where its rows are

# A picture of one dot.
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
# A name of which a form's part has no room, and the one under which it is stored.
LONG = "x" * 5000 + ".csv"
STORED = "x" * 116 + ".csv"
# What a clipboard or a hand brings, as a `DataTransfer`.
CARRIED = """([names, text]) => {
    const carried = new DataTransfer();
    for (const name of names) carried.items.add(new File(["1,2"], name, { type: "text/csv" }));
    if (text) carried.setData("text/plain", text);
    return carried;
}"""


@pytest.fixture
def page(open_page: OpenPage) -> Page:
    page = open_page("/c/")
    until_connected(page)
    page.locator("input[name=workflow][value=probe]").check()
    return page


def file(name: str = "a.csv", content: bytes = b"1,2") -> Any:
    return {"name": name, "mimeType": "text/csv", "buffer": content}


def choose(page: Page, *files: Any) -> None:
    page.get_by_label("Attach files").set_input_files(list(files))


def until_uploaded(page: Page, count: int) -> None:
    expect(page.locator("#files [name=file_ids]:enabled")).to_have_count(count)


@pytest.mark.slow
def test_chosen_files_are_sent_shown_and_can_be_saved(page: Page, server: Server) -> None:
    choose(page, file(), file("dot.png", PNG))
    until_uploaded(page, 2)
    expect(page.locator("#files .how").first).to_have_text("3 bytes")
    assert_accessible(page)
    say(page, "describe_files()")
    expect(page.locator("#files li")).to_have_count(0)
    expect(page.locator("#items .text")).to_contain_text("a.csv text/csv 3")
    state(page, "completed")
    picture = page.locator(".user .files img")
    picture.scroll_into_view_if_needed()
    expect(picture).to_have_js_property("naturalWidth", 1)
    with page.expect_download() as saved:
        page.get_by_role("link", name="a.csv", exact=True).click()
    assert saved.value.suggested_filename == "a.csv"
    assert saved.value.path().read_bytes() == b"1,2"
    assert_accessible(page)
    assert_page_is_log(page, server)
    page.reload()
    expect(page.locator(".user .files li")).to_have_count(2)
    page.get_by_role("link", name="Edit").click()
    expect(page.locator("#editing")).to_contain_text("Its files are sent again.")


@pytest.mark.slow
def test_pasted_and_dropped_files_are_taken_and_copied_text_stays_text(page: Page) -> None:
    for names, text in ((["pasted.csv"], ""), (["picture-of-a-cell.csv"], "a cell")):
        carried = page.evaluate_handle(CARRIED, [names, text])
        page.evaluate(
            """carried => document.getElementById("text").dispatchEvent(new ClipboardEvent(
                "paste", { clipboardData: carried, bubbles: true, cancelable: true }))""",
            carried,
        )
    until_uploaded(page, 1)  # though the script that uploads them may have been on its way
    carried = page.evaluate_handle(CARRIED, [["one.csv", LONG], ""])
    page.dispatch_event("#scroller", "dragover", {"dataTransfer": carried})
    expect(page.locator("#composer")).to_have_attribute("data-over", "")
    page.dispatch_event("#scroller", "drop", {"dataTransfer": carried})
    until_uploaded(page, 3)
    expect(page.locator("#composer[data-over]")).to_have_count(0)
    assert page.locator("#files .name").all_text_contents() == ["pasted.csv", "one.csv", STORED]
    page.get_by_role("button", name="Remove one.csv").click()
    say(page, "describe_files()")
    expect(page.locator("#items .text")).to_contain_text(STORED)
    assert "one.csv" not in page.locator("#items").inner_text()


@pytest.mark.slow
@pytest.mark.parametrize("place", ["workflow", "inbox"])
def test_a_file_dropped_where_none_is_taken_leaves_the_page_and_is_refused(
    page: Page, place: str
) -> None:
    if place == "inbox":
        # The question with the nearest deadline stands above those that other tests left open.
        begin(page, "ask(timeout=60)", cards=1)
        page.goto("/inbox/")
        card = page.locator("prompt-card:visible").filter(has=page.locator("textarea:visible"))
        problem = card.first.locator(".error").first
        card.first.locator("textarea:visible").first.fill("typed")
        target = "#entries"
    else:
        page.locator("input[name=workflow][value=report]").check()
        expect(page.locator("#attach")).to_be_hidden()
        problem = page.locator("#composer-error")
        target = "#scroller"
    carried = page.evaluate_handle(CARRIED, [["a.csv"], ""])
    prevented = """([target, carried]) => ["dragover", "drop"].map((type) => !target.dispatchEvent(
        new DragEvent(type, { dataTransfer: carried, bubbles: true, cancelable: true })))"""
    assert page.evaluate(prevented, [page.query_selector(target), carried]) == [True, True]
    expect(problem).to_have_text("Not attached: Files are not accepted here.")
    expect(page.locator("#files li")).to_have_count(0)
    expect(page.locator("#composer[data-over]")).to_have_count(0)


@pytest.mark.slow
def test_a_refused_file_shows_the_reason_and_the_others_alone_are_a_message(
    page: Page, console: Console
) -> None:
    console.allow("422")
    choose(page, file(), file("page.html"))
    expect(page.locator("#composer-error")).to_contain_text(
        "Not attached: .html files are not allowed. Allowed: png,"
    )
    until_uploaded(page, 1)
    page.get_by_role("button", name="Send").click()
    expect(page.locator("#items .text")).to_contain_text("a.csv text/csv 3")
    expect(page.locator("#title")).to_have_text("a.csv")


@pytest.mark.slow
def test_files_outlast_a_reload_and_the_message_waits_for_uploads(page: Page) -> None:
    page.locator("#text").fill("describe_files()")
    choose(page, file())
    until_uploaded(page, 1)
    page.reload()
    until_uploaded(page, 1)
    expect(page.locator("#text")).to_have_value("describe_files()")
    page.locator("input[name=workflow][value=probe]").check()
    # Sent while the second is on its way.
    held: list[Route] = []
    page.route("**/files/", lambda route: held.append(route))
    choose(page, file("late.csv"))
    page.locator("#text").press("Enter")
    expect(page.locator("#files [data-percent]")).to_have_count(1)
    assert page.locator(".user").count() == 0
    held[0].continue_()
    expect(page.locator("#items .text")).to_contain_text("late.csv")
    expect(page.locator("#items .text")).to_contain_text("a.csv")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (None, "The upload of a.csv was interrupted."),
        (200, "Signed out. Your draft is kept."),
        (413, "Too large for the server"),
        (502, "Server error 502."),
    ],
)
def test_an_upload_that_a_proxy_ends_is_reported(
    page: Page, console: Console, status: int | None, reason: str
) -> None:
    console.allow(f"ERR_FAILED|{status}")
    answer = partial(Route.fulfill, status=status, body="<h1>nginx</h1>") if status else Route.abort
    page.route("**/files/", lambda route: answer(route))
    choose(page, file())
    expect(page.locator("#composer-error")).to_contain_text(f"Not attached: {reason}")
    expect(page.locator("#files li")).to_have_count(0)


@pytest.mark.slow
def test_a_workflow_without_files_hides_the_attach_button(page: Page) -> None:
    expect(page.locator("#attach")).to_be_visible()
    page.locator("input[name=workflow][value=report]").check()
    expect(page.locator("#attach")).to_be_hidden()
    expect(page.locator("#picked")).to_have_text("Savings report · Change")
    page.locator("#picked").click()
    expect(page.locator("input[name=workflow][value=report]")).to_be_focused()
    page.reload()
    expect(page.locator("input[name=workflow]:checked")).not_to_have_attribute("data-files", "")
    expect(page.locator("#attach")).to_be_hidden()
    begin(page, "200 a month at 3.5 % for 2 years", workflow="report", until="completed")
    expect(page.locator("#attach")).to_be_hidden()
    expect(page.locator("#picked")).to_be_hidden()
    page.reload()
    expect(page.locator("#attach")).to_have_count(0)

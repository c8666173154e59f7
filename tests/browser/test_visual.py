"""The look of each page in each of its states: nothing too wide or over another, for everyone."""

import pytest
from playwright.sync_api import Page, expect

from tests.browser.chat_page import begin, card, until_connected
from tests.browser.look import assert_accessible, assert_fits, assert_looks_right
from tests.inbox.people import make_group, send_question
from tests.support.browser import Console, OpenPage
from tests.support.server import Server

pytestmark = [
    pytest.mark.slow,
    pytest.mark.formless,  # how pages look does not depend on where their rows are
    pytest.mark.timeout(300),  # axe looks at each page twice
]

LOOKS = pytest.mark.beyond("each page of a person looks right on each screen")
ADMIN_LOOKS = pytest.mark.beyond("the admin looks right to everyone on each screen")
WORD = "w" * 300
ADMIN = "/admin/sessions_app"
LISTS = (
    *("conversation", "run", "interaction", "auditentry", "hostlease", "process"),
    *("journalentry", "event"),
)
FORMS = {"run": ("fork", "send"), "interaction": ("answer", "history")}


@LOOKS
@pytest.mark.parametrize(
    ("text", "workflow", "until", "cards"),
    [
        (f"We publish {WORD}", "parallel_review", "", 3),
        (f"A taxi {WORD}", "expense_approval", "", 1),
        (f"200 a month at 3.5 % for 2 years {WORD}", "report", "completed", 0),
        ('prompt(kind="details")', "probe", "", 1),
        ('fail(text="")', "probe", "failed", 0),
    ],
    ids=["three questions", "a question", "a report", "details", "a failure"],
)
def test_a_conversation(page: Page, text: str, workflow: str, until: str, cards: int) -> None:
    begin(page, text, workflow, until=until, cards=cards)
    page.keyboard.press("Escape")
    assert_looks_right(page)
    page.set_viewport_size({"width": 320, "height": 568})
    page.locator("button.menu").click()
    assert_fits(page)


@LOOKS
def test_pages_without_a_conversation(open_page: OpenPage) -> None:
    page = open_page("/c/")
    until_connected(page)
    assert_looks_right(page)
    page.goto("/settings/")
    assert_looks_right(page)
    assert_looks_right(open_page("/sign-in/?link=failed", user=None))


@LOOKS
@pytest.mark.parametrize(
    ("words", "count"),
    [("ask_with_long_words()", 16), ("ask_with_long_words(together=True)", 1)],
    ids=["one by one", "together"],
)
def test_every_type_of_prompt(
    page: Page, open_page: OpenPage, server: Server, words: str, count: int
) -> None:
    begin(page, words, until="needs-you")
    expect(card(page)).to_have_count(count)
    if count > 1:
        page.locator("prompt-card:not([data-folded]) [data-all]").click()
    assert_fits(page, "ltr")
    page.goto("/inbox/")
    until_connected(page)
    expect(page.locator("prompt-card:not([data-folded])")).to_have_count(count)
    assert_fits(page, "ltr")
    plain = open_page("/inbox/", java_script_enabled=False)
    for link in page.locator(".permanent").all():
        plain.goto(str(link.get_attribute("href")))
        expect(card(plain)).to_have_count(1)
        assert_fits(plain, "ltr")


@LOOKS
@pytest.mark.parametrize("size", [(320, 568), (640, 400)], ids=["a phone", "a zoomed screen"])
def test_the_inbox(open_page: OpenPage, server: Server, size: tuple[int, int]) -> None:
    make_group(server)
    questions = ("due=60", "days=20, votes=2", "kind='text'", f"days={WORD[:200]!r}")
    for number, words in enumerate(questions):
        send_question(server, words, name=str(number))
    viewport = {"width": size[0], "height": size[1]}
    page = open_page("/inbox/", user="ben", viewport=viewport)
    until_connected(page)
    expect(page.locator(".entry")).to_have_count(4)
    page.get_by_label("Select all").check()
    assert_looks_right(page)
    entry = page.locator(".entry", has_text="20 days")
    entry.locator(".permanent").click()
    entry.get_by_role("button", name="Claim").click()
    expect(entry.locator(".mine")).to_be_visible()
    entry.get_by_text("Reassign…").click()
    assert_looks_right(page)
    page.goto(str(entry.locator(".permanent").get_attribute("href")))
    until_connected(page)
    assert_looks_right(page)
    card(page).get_by_role("button", name="Approve").click()
    expect(page.locator(".voted")).to_be_visible()
    assert_looks_right(page)
    for rest in ("?part=answered", "?q=nothing+of+this"):
        page.goto(f"/inbox/{rest}")
        assert_looks_right(page)


def open_first_row(page: Page, model: str) -> None:
    page.goto(f"{ADMIN}/{model}/")
    page.locator("#result_list tbody th a").first.click()
    page.wait_for_url("**/change/**")


@ADMIN_LOOKS
def test_the_admin_lists(admin: Page) -> None:
    assert_looks_right(admin, "ltr")
    admin.goto(f"{ADMIN}/interaction/answers/")
    assert_looks_right(admin, "ltr")
    for model in LISTS:
        admin.goto(f"{ADMIN}/{model}/")
        expect(admin.locator("#result_list tbody tr").first).to_be_visible()
        assert_looks_right(admin, "ltr")
    for query in ("?status__exact=pending", "?q=nothing+of+this", "?answered_via="):
        admin.goto(f"{ADMIN}/interaction/{query}")
        admin.locator("#filters summary").first.click()
        assert_accessible(admin)
    admin.set_viewport_size({"width": 320, "height": 568})
    for model in ("run", "interaction"):
        admin.goto(f"{ADMIN}/{model}/")
        assert_accessible(admin)
    admin.goto(f"{ADMIN}/event/")
    cell = admin.locator("#result_list .field-what").first
    assert "Type" in cell.evaluate("each => getComputedStyle(each, '::before').content")


@ADMIN_LOOKS
def test_the_admin_pages_of_a_row(admin: Page, console: Console) -> None:
    console.allow("Applying inline style")  # axe's, for the sheet that Django's forms.css imports
    for model in LISTS:
        open_first_row(admin, model)
        folded = admin.locator("#content details")
        folded.evaluate_all("each => each.forEach(details => { details.open = true; })")
        assert_accessible(admin)
    for model, forms in FORMS.items():
        open_first_row(admin, model)
        address = admin.url
        for form in forms:
            admin.goto(address.replace("change", form))
            assert_accessible(admin)


@ADMIN_LOOKS
def test_the_admin_forms(admin: Page, console: Console) -> None:
    console.allow("Applying inline style")  # axe's, for the sheet that Django's forms.css imports
    admin.goto(f"{ADMIN}/interaction/")
    admin.locator("#result_list tbody th a").last.click()
    admin.get_by_role("button", name="Reassign").click()
    admin.locator("[type=submit].default").click()
    expect(admin.locator(".errorlist")).to_be_visible()
    assert_accessible(admin)
    admin.goto("/admin/chat_app/apikey/add/")
    assert_accessible(admin)
    admin.set_viewport_size({"width": 320, "height": 568})
    admin.get_by_label("User").fill("ann")
    admin.get_by_label("Name").fill("robot")
    admin.locator("[name=_save]").click()
    admin.wait_for_load_state()  # its style, too
    key = admin.locator("#api-key")
    assert key.evaluate("each => each.getBoundingClientRect().right") <= 320
    assert_accessible(admin)

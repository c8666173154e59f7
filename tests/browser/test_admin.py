"""The operators' pages for everyone: no accessibility fault, in both themes."""

import pytest
from playwright.sync_api import Page, expect

from tests.browser.test_looks import assert_accessible
from tests.support.browser import Console

pytestmark = [
    pytest.mark.slow,
    pytest.mark.formless,  # how pages look does not depend on where their rows are
    pytest.mark.timeout(300),  # axe looks at each page twice
]

ADMIN = "/admin/sessions_app"
LISTS = (
    *("conversation", "run", "interaction", "auditentry", "hostlease", "process"),
    *("journalentry", "event"),
)
FORMS = {"run": ("fork", "send"), "interaction": ("answer", "history")}


def open_first_row(page: Page, model: str) -> None:
    page.goto(f"{ADMIN}/{model}/")
    page.locator("#result_list tbody th a").first.click()
    page.wait_for_url("**/change/**")


def test_no_list_has_an_accessibility_fault(admin: Page) -> None:
    assert_accessible(admin)
    admin.goto(f"{ADMIN}/interaction/answers/")
    assert_accessible(admin)
    for model in LISTS:
        admin.goto(f"{ADMIN}/{model}/")
        expect(admin.locator("#result_list tbody tr").first).to_be_visible()
        assert_accessible(admin)
    for query in ("?status__exact=pending", "?q=nothing+of+this", "?answered_via="):
        admin.goto(f"{ADMIN}/interaction/{query}")
        admin.locator("#filters summary").first.click()
        assert_accessible(admin)


def test_no_page_of_a_row_has_an_accessibility_fault(admin: Page, console: Console) -> None:
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
    admin.goto(f"{ADMIN}/interaction/")
    admin.locator("#result_list tbody th a").last.click()
    admin.get_by_role("button", name="Reassign").click()
    admin.locator("[type=submit].default").click()
    expect(admin.locator(".errorlist")).to_be_visible()
    assert_accessible(admin)
    admin.goto("/admin/chat_app/apikey/add/")
    assert_accessible(admin)


def test_no_list_is_wider_than_a_phone(admin: Page) -> None:
    admin.set_viewport_size({"width": 320, "height": 568})
    for model in LISTS:
        admin.goto(f"{ADMIN}/{model}/")
        for part in ("html", ".results"):
            excess = admin.locator(part).evaluate("each => each.scrollWidth - each.clientWidth")
            assert excess <= 0, (model, part)
        if model in ("run", "interaction"):
            assert_accessible(admin)
    admin.goto("/admin/chat_app/apikey/add/")
    admin.get_by_label("User").fill("ann")
    admin.get_by_label("Name").fill("robot")
    admin.locator("[name=_save]").click()
    admin.wait_for_load_state()  # its style, too
    key = admin.locator("#api-key")
    assert key.evaluate("each => each.getBoundingClientRect().right") <= 320
    assert_accessible(admin)
    admin.goto(f"{ADMIN}/event/")
    cell = admin.locator("#result_list .field-what").first
    assert "Type" in cell.evaluate("each => getComputedStyle(each, '::before').content")

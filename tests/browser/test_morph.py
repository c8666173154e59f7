"""The merge of what is on the page with what the server has rendered anew."""

import pytest
from playwright.sync_api import Page, expect

pytestmark = [
    pytest.mark.slow,
    pytest.mark.formless,  # no row is read
]

MERGE = """async ([before, after]) => {
  const { morph } = await import(document.querySelector("link[href*='/morph']").href);
  const [live, fresh] = [before, after].map((html) => {
    const whole = document.createElement("section");
    whole.innerHTML = html;
    return whole;
  });
  document.querySelector("[data-merged]")?.remove();
  live.dataset.merged = fresh.dataset.merged = "";
  document.body.append(live);
  live.querySelectorAll("*").forEach((each) => (each.isOld = true));
  %s
  morph(live, fresh);
  const kept = [...live.querySelectorAll("*")].filter((each) => each.isOld);
  return [live.innerHTML, kept.map((each) => each.id || each.localName)];
}"""


@pytest.fixture
def chat(page: Page) -> Page:
    page.goto("/c/")
    return page


def merge(page: Page, before: str, after: str, use: str = "") -> tuple[str, list[str]]:
    """Return the HTML after a merge, and the names of the elements that stayed."""
    html, kept = page.evaluate(MERGE % use, [before, after])
    return html, kept


def test_it_becomes_what_the_server_has_rendered(chat: Page) -> None:
    before = '<p class="a" title="x">one <b>two</b></p><ul><li id="1">1</li><li id="2">2</li></ul>'
    after = '<p class="a" lang="de">one <i>2</i></p>new<ul><li id="2">B</li><li id="3">3</li></ul>'
    html, kept = merge(chat, before, after)
    assert html == after
    assert kept == ["p", "ul", "2"]


def test_what_is_typed_chosen_and_opened_stays_where_the_focus_is(chat: Page) -> None:
    before = (
        '<details><summary>s</summary><input name="a" value="old"><input type="checkbox" value="1">'
        '<textarea name="t"></textarea></details>'
    )
    use = """
      live.querySelector("details").open = true;
      live.querySelector("[name=a]").value = "typed";
      live.querySelector("[type=checkbox]").checked = true;
      live.querySelector("textarea").value = "more";
      live.querySelector("textarea").focus();
    """
    after = "<p>above</p>" + before.replace("old", "new").replace(
        "<details>", '<details lang="de">'
    )
    merge(chat, before, after, use)
    assert chat.locator("[data-merged] [name=a]").input_value() == "typed"
    expect(chat.locator("[data-merged] [type=checkbox]")).to_be_checked()
    expect(chat.locator("[data-merged] textarea")).to_have_value("more")
    expect(chat.locator("[data-merged] textarea")).to_be_focused()
    expect(chat.locator("[data-merged] details")).to_have_attribute("lang", "de")


def test_a_tick_is_of_its_value_and_not_of_its_place(chat: Page) -> None:
    row = '<li><input type="checkbox" name="prompt" value="{}"></li>'
    use = 'live.querySelector("[value=a]").checked = true;'
    merge(chat, row.format("a") + row.format("b"), row.format("c") + row.format("a"), use)
    expect(chat.locator("[data-merged] [value=c]")).not_to_be_checked()


def test_the_entry_with_the_focus_stays_and_others_move_around_it(chat: Page) -> None:
    rows = [f'<li><a href="/{name}">{name}</a></li>' for name in "abc"]
    use = """live.querySelector("[href='/c']").focus();"""
    html, kept = merge(chat, "".join(rows), "".join(reversed(rows)), use)
    assert html == "".join(reversed(rows))
    assert len(kept) == 6
    expect(chat.locator("[data-merged] [href='/c']")).to_be_focused()


def test_where_what_had_the_focus_goes_the_next_has_it(chat: Page) -> None:
    use = 'live.querySelector("button").focus();'
    merge(chat, "<p><button>gone</button></p>", "<details><summary>s</summary></details>", use)
    expect(chat.locator("[data-merged] summary")).to_be_focused()


def test_the_note_of_what_was_not_used_stays(chat: Page) -> None:
    html, _ = merge(chat, '<p>1</p><div class="stale">typed</div>', "<p>2</p>")
    assert html == '<p>2</p><div class="stale">typed</div>'


def test_a_row_that_offers_undo_stays_between_its_neighbours_and_without_them(chat: Page) -> None:
    rows = '<li id="1">1</li>{}<li id="2">2</li>'
    undo = '<li class="undo">Undo</li>'
    before = f"<ul>{rows.format(undo)}</ul>"
    html, _ = merge(chat, before, f"<ul>{rows.format('')}</ul>")
    assert html == before
    html, _ = merge(chat, before, "<p>none</p>")
    assert html == f"<p>none</p><ul>{undo}</ul>"

"""Tests of how details of a decision are shown: on the page, in the admin, in a line."""

import asyncio
import re
from collections.abc import Iterator
from html import unescape
from typing import Any

import pytest
from django.template.loader import render_to_string
from django.test import AsyncClient, Client
from django.urls import reverse
from django.utils.html import strip_tags
from hypothesis import given
from hypothesis import strategies as st

from sessions_app.models import Run
from sessions_app.prompts import TextPrompt
from sessions_app.prompts.details import MAX_COMPARED_LINES, line, rows
from tests.support.database.stored_log import StoredLog

SENT: dict[str, Any] = {
    "To": ["ann@example.org", "bob@example.org"],
    "Command": {"code": "rm -r 'old reports'\ncp -r new reports"},
    "Subject": {"before": "Reports", "after": "New reports"},
    "Item": {"name": "Bolt", "urgent": True, "note": None},
    "Lines": [{"item": "Bolt", "price": 3}, {"item": "Nut", "price": 2}],
    "Raw": [[1], [2]],
}
PLAIN = (
    "To: ann@example.org, bob@example.org; Command: rm -r 'old reports'\ncp -r new reports; "
    "Subject: Reports → New reports; Item: name: Bolt, urgent: yes, note: –; "
    "Lines: item: Bolt, price: 3, item: Nut, price: 2; Raw: 1, 2"
)


def html(details: dict[str, Any]) -> str:
    return render_to_string("sessions_app/details.html", {"rows": rows(details)})


def words(text: str) -> str:
    return " ".join(unescape(strip_tags(text)).split())


@pytest.mark.django_db(transaction=True)
async def test_the_page_shows_each_kind_of_detail_in_its_form(
    client: AsyncClient, log: StoredLog, run: Run
) -> None:
    await asyncio.to_thread(log.ask, run, TextPrompt(text="Send it?", details=SENT))
    page = (await client.get(reverse("chat:conversation", args=["c"]))).content.decode()
    card = page.partition("<prompt-card")[2].partition("</prompt-card")[0]
    assert re.findall(r"<li>(.*?)</li>", card) == SENT["To"]
    assert unescape(card).count(f">{SENT['Command']['code']}</pre>") == 1
    # PostgreSQL keeps no order of the names in an object.
    shown = ["removed: Reports", "added: New reports", "urgent yes", "note –"]
    shown += ["item price Bolt 3 Nut 2", "[ [ 1 ], [ 2 ] ]"]
    assert [each for each in shown if each not in words(card)] == []


@pytest.mark.slow
def test_the_admin_shows_details_as_the_page_does(
    admin_client: Client, log: StoredLog, run: Run
) -> None:
    interaction = log.ask(run, TextPrompt(text="Send it?", details=SENT))
    interaction.refresh_from_db()
    for page in ("change", "answer"):
        path = f"/admin/sessions_app/interaction/{interaction.pk}/{page}/"
        shown = admin_client.get(path).content.decode()
        assert html(interaction.prompt["details"]).strip() in shown


def test_a_plain_client_gets_the_details_as_text() -> None:
    content = {"input_type": "text", "text": "Send it?", "details": SENT}
    [prompt] = TextPrompt.plain(content, str)
    assert prompt["text"] == f"Send it?\n\n({PLAIN})"


def test_a_diff_of_long_texts_shows_changes_with_context() -> None:
    before = [f"line {number}" for number in range(40)]
    after = [*before[:10], "new", *before[10:30], *before[31:]]
    [row] = rows({"File": {"before": "\n".join(before), "after": "\n".join(after)}})
    assert [text for sign, text in row.value if sign == "+"] == ["new"]
    assert [text for sign, text in row.value if sign == "-"] == ["line 30"]
    around = [text for sign, text in row.value if sign == " "]
    assert around == [*before[7:13], *before[27:30], *before[31:34]]
    assert [sign for sign, _ in row.value].count("…") == 1


def test_unchanged_text_has_no_marks_and_what_is_too_long_to_compare_is_shown_whole() -> None:
    [row] = rows({"File": {"before": "a\nb", "after": "a\nb"}})
    assert row.value == [(" ", "a"), (" ", "b")]
    long = "\n".join(map(str, range(MAX_COMPARED_LINES + 1)))
    [row] = rows({"File": {"before": long, "after": f"{long}\nend"}})
    assert len(row.value) == 2 * (MAX_COMPARED_LINES + 1) + 1


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text("abc<&\n\u202e"),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["a", "code", "before", "after"]), inner, max_size=3)
    ),
    max_leaves=8,
)


def texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict | list):
        for one in value.values() if isinstance(value, dict) else value:
            yield from texts(one)
    elif isinstance(value, str):
        yield value


@pytest.mark.slow
@given(values)
def test_details_are_escaped_and_shown_whole(value: Any) -> None:
    html_text = html({"Detail": value})
    assert "<&" not in html_text
    for text in texts(value):
        for piece in re.findall(r"[abc]+", text):
            assert piece in words(html_text)
            assert piece in line(value)

"""A text that grows: what the page gets of it, in parts, is what the whole is rendered to."""

import re
from uuid import UUID

import pytest

from chat_app.page.conversation.conversation_page import ItemRange, read_transcript
from chat_app.page.conversation.history import KnownText
from chat_app.page.conversation.transcript import TextSegment
from chat_app.page.markdown import blocks
from chat_app.page.markdown.blocks import finish_block
from chat_app.page.markdown.markdown import render
from sessions_app.models import Run
from sessions_app.storage.run_text import fold
from tests.support.database.stored_log import StoredLog
from tests.support.long_answer import report, tokens

pytestmark = pytest.mark.django_db

TEXTS = {
    "report": report(6000),
    "one line": "word " * 5000,
    "code": "```python\n" + "value = [1] | 2  # a line\n" * 900 + "```\nThe end.\n",
    "table": "| a | b |\n|---|---|\n" + "| one | two |\n" * 1500 + "\nThe end.\n",
    "list": "".join(f"{number}. item\n   - below it\n" for number in range(1, 900)),
    "lines": "a line\r\n" * 2500,
    "no spaces": "x" * 20_000,
}


class Reader:
    """A page that asks for what is new of one text."""

    def __init__(self, log: StoredLog, run: Run) -> None:
        self._log = log
        self._run = run
        self._known: dict[UUID, KnownText] = {}
        self.above = ""
        self.last = ""
        self.sizes: list[int] = []

    def look(self, after: int) -> list[TextSegment]:
        item_range = ItemRange(after=after, known_texts=self._known, hold=True)
        items = read_transcript(self._log.conversation, item_range).items
        texts = [item for item in items if isinstance(item, TextSegment)]
        for item in texts:
            shown_text = item.shown
            self.above = (self.above if item.known_text else "") + "".join(shown_text.above)
            self.last = "".join(shown_text.last)
            self._known = {self._run.id: shown_text.place}
            self.sizes.append(len(item.text))
        return texts

    @property
    def html(self) -> str:
        # The attributes of what scrolls come in any order.
        return re.sub(r"<(div|pre|button) [^>]*>", r"<\1>", self.above + self.last)


def words(html: str) -> str:
    return " ".join(re.sub(r"<[^>]*>", " ", html).split())


@pytest.mark.slow
@pytest.mark.parametrize("name", TEXTS)
def test_text_rendered_in_parts_equals_the_whole(log: StoredLog, run: Run, name: str) -> None:
    reader = Reader(log, run)
    for piece in tokens(TEXTS[name], 311):
        reader.look(log.text(run, piece) - 1)
    fold(run.id, run.conversation_id)
    reader.look(log.end(run) - 2)
    whole = Reader(log, run)
    whole.look(0)
    assert words(reader.html) == words(whole.html)
    if name != "lines":  # a line end may be cut in two there
        assert reader.html == whole.html
    # However long it became, each look read little.
    assert max(reader.sizes) <= blocks.MAX_BLOCK_LENGTH + 4 * 311


def test_code_has_colours_when_it_is_whole(log: StoredLog, run: Run) -> None:
    reader = Reader(log, run)
    reader.look(log.text(run, "```python\nif x:\n") - 1)
    assert "code-keyword" not in reader.html
    reader.look(log.text(run, "    pass\n```\nThe end.\n\nMore") - 1)
    assert '<span class="code-keyword">if</span>' in reader.html


def test_code_that_is_cut_because_it_is_long_is_one_to_read_and_to_copy(
    log: StoredLog, run: Run
) -> None:
    log.text(run, TEXTS["code"])
    reader = Reader(log, run)
    reader.look(0)
    parts = reader.html.count("<figure")
    assert parts > 2
    assert reader.html.count("<figcaption>Python<button>") == 1
    assert reader.html.count('<figure class="rest">') == parts - 1


def test_text_that_was_taken_back_is_not_gone_on_with(log: StoredLog, run: Run) -> None:
    reader = Reader(log, run)
    first = log.text(run, "# One\n\nTwo\n\n", "Three\n\n")
    reader.look(first - 2)
    log.append(run, "restart", {"from_sequence": first - 1})
    reader.look(log.text(run, "Another") - 1)
    assert words(reader.html) == "Another"


def test_text_behind_a_step_begins_anew(log: StoredLog, run: Run) -> None:
    reader = Reader(log, run)
    reader.look(log.text(run, "One\n\nTwo") - 1)
    log.step(run, "look")
    reader.look(log.text(run, "Three") - 1)
    assert reader.html == "<p>Three</p>\n"


def test_text_before_and_behind_a_step_comes_as_two(log: StoredLog, run: Run) -> None:
    """A page that was away for a moment has the rest of the one, and the other as a whole."""
    reader = Reader(log, run)
    first_sequence = log.text(run, "One\n\nTwo")
    reader.look(first_sequence - 1)
    grown = log.text(run, " and more\n\n")
    log.step(run, "look")
    log.text(run, "Three\n\n")
    before, behind = reader.look(grown - 1)
    assert before.known_text is not None
    assert before.text.endswith("Two and more\n\n")
    assert (behind.first > grown, behind.text, behind.known_text) == (True, "Three\n\n", None)


@pytest.mark.slow
@pytest.mark.parametrize(
    "text", [report(1500), "a **b *c* d** e `f` ~~g~~ [h](https://i.example) _j_ "]
)
def test_no_mark_is_shown_before_it_is_whole(text: str) -> None:
    for end in range(len(text)):
        parts = blocks.cut(text[:end])
        last = text[parts.at : end]
        html = "".join(map(render, parts.above)) + render(finish_block(last, parts.inside))
        prose = words(re.sub(r"<pre.*?</pre>", "", html, flags=re.DOTALL))
        assert not re.search(r"[*`#|\[\]~]|\b_", prose), (text[:end], prose)


NO_MARKUP = [
    "2 * 3 = 6 and",
    "snake_case is",
    "an [unclosed bracket " + "x" * 600,
    "a | b and",
    "Is $5 it?",
    "```c\n# define X |",
]
BEGUN = ["$x_1", r"\(x", "$$\nx\n", "$$\nx\n$", "\\[\nx\n", "[^1]"]


@pytest.mark.parametrize(
    ("text", "inside", "shown"),
    [
        *((text, "", text) for text in NO_MARKUP),
        *((f"So {begun}", "", "So ") for begun in BEGUN),
        ("```c\nx\n``", "", "```c\nx\n"),
        ("# define", "```c", "# define"),
    ],
)
def test_formulas_and_marks_are_shown_once_they_are_whole_and_what_is_none_at_once(
    text: str, inside: str, shown: str
) -> None:
    assert finish_block(text, inside) == shown

"""Tests of what costs too much to show is shown as it was written, soon."""

import time
from datetime import UTC, datetime
from unittest.mock import Mock
from uuid import uuid4

import pytest

from chat_app.page.conversation.transcript import TextSegment
from chat_app.page.markdown import code_blocks, painter, work
from chat_app.page.markdown.blocks import MAX_BLOCK_LENGTH, cut
from chat_app.page.markdown.code_blocks import LANGUAGES
from chat_app.page.markdown.markdown import render
from sessions_app.storage.run_text import Piece

pytestmark = pytest.mark.formless

PYTHON = "```python\nvalue = {}\n```\n"
# The second holds up a single pattern of the lexer for seconds.
ENDLESS = {
    "c": "\n" * MAX_BLOCK_LENGTH,
    "cpp": f"__a\n{chr(13) * MAX_BLOCK_LENGTH}|-",
    "terraform": "<<a\n" * 2000,
}
# Of which some lexer takes seconds for a whole block.
HOSTILE = ("\n", "a", "a\n", "//", "a a ", '"', "(", "\\")
WIDE = "|a" * 500 + "|\n" + "|-" * 500 + "|\n" + "|\n" * 3000


@pytest.mark.parametrize("language", ENDLESS)
def test_code_that_takes_too_long_has_no_colours(language: str) -> None:
    html, seconds = code_blocks._painter.paint(language, ENDLESS[language])
    assert html is None
    assert seconds < 3 * painter.BLOCK_SECONDS
    assert 'class="code-number">1<' in render(PYTHON.format(1))


@pytest.mark.beyond("no code of any language is coloured for longer than its limit")
@pytest.mark.slow
@pytest.mark.parametrize("alias", sorted({alias for alias, _ in code_blocks._ALIASES.values()}))
def test_no_code_of_any_language_takes_longer_than_its_limit(alias: str) -> None:
    for piece in HOSTILE:
        text = (piece * MAX_BLOCK_LENGTH)[:MAX_BLOCK_LENGTH]
        _, seconds = code_blocks._painter.paint(alias, text)
        assert seconds < 3 * painter.BLOCK_SECONDS, piece


@pytest.mark.slow
@pytest.mark.parametrize(
    "text",
    [
        *(piece * 60_000 for piece in ("\\[\n", "\\( ", "$a ", "$$\n\n", "[^a]: ", "[^1] ")),
        "".join(f"${'x+y ' * 200}{number}$ " for number in range(300)),
    ],
    ids=("brackets", "parentheses", "dollars", "blocks", "notes", "marks", "formulas"),
)
def test_formulas_and_notes_without_end_take_no_longer_than_the_limit(text: str) -> None:
    began = time.thread_time()
    with work.of_page():
        render(text)
        cut(text)
    assert time.thread_time() - began < 2 * work.PAGE_SECONDS


def test_the_clock_is_looked_at_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = Mock(wraps=time.thread_time)
    monkeypatch.setattr(time, "thread_time", looks)
    render("- one **two** `three`\n" * 1000)
    assert 10 < looks.call_count < 1000


def test_the_code_of_a_long_answer_is_coloured_once() -> None:
    texts = [PYTHON.format(number) for number in range(1000, 1250)]
    for _ in range(2):
        before = code_blocks._paint.cache_info().hits
        for text in texts:
            render(text)
    assert code_blocks._paint.cache_info().hits - before == len(texts)


def test_the_process_that_colours_is_replaced_when_it_has_died() -> None:
    assert 'class="code-number">2<' in render(PYTHON.format(2))
    assert code_blocks._painter._child
    process, _ = code_blocks._painter._child
    process.kill()
    process.wait()
    assert "value = 3" in render(PYTHON.format(3))
    assert 'class="code-number">3<' in render(PYTHON.format(3))


def test_the_code_of_a_page_has_colours_for_so_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "COLOURING_SECONDS", painter.BLOCK_SECONDS / 2)
    costly = f"```c\n{ENDLESS['c']}\n```\n"
    with work.of_page():
        before, _, after = (render(text) for text in (PYTHON.format(4), costly, PYTHON.format(5)))
    assert "code-number" in before
    assert "value = 5" in after


def test_markdown_that_takes_too_long_is_shown_as_it_was_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(work, "PAGE_SECONDS", 0.1)
    with work.of_page():
        began = time.thread_time()
        shown_text = segment(WIDE * 4 + "*the end* <b>").shown
        assert time.thread_time() - began < 2  # without a limit it is ten seconds
        assert "*the end* &lt;b&gt;" in "".join([*shown_text.above, *shown_text.last])
        assert render("*beyond*") == "<p>*beyond*</p>"
    assert render("*another page*") == "<p><em>another page</em></p>\n"


def segment(text: str) -> TextSegment:
    pieces = [Piece(1, text)]
    return TextSegment(first=1, last=1, run=uuid4(), at=datetime.now(UTC), pieces=pieces)


def test_all_languages_that_are_offered_are_known() -> None:
    assert len({name for _, name in code_blocks._ALIASES.values()}) == len(LANGUAGES)

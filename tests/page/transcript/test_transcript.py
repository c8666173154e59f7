"""Tests of the way from the log to the page's items, however the log is cut for reading."""

from collections.abc import Callable, Iterator
from itertools import count
from typing import Any, TypeVar

import pytest
from django.contrib.auth.models import User
from django.db import connection, transaction

from chat_app.page.conversation import history, transcript
from chat_app.page.conversation.conversation_page import (
    ItemRange,
    Transcript,
    read_page,
    read_transcript,
)
from chat_app.page.conversation.transcript import (
    Item,
    MessageItem,
    Question,
    RunNote,
    Step,
    TextSegment,
)
from sessions_app.models import Run
from sessions_app.prompts import AnyPrompt, BinaryPrompt, Option, TextPrompt
from sessions_app.storage.run_text import fold
from tests.support.database.stored_log import StoredLog

T = TypeVar("T")
pytestmark = pytest.mark.django_db


def items(log: StoredLog, after: int = 0, before: int | None = None) -> list[Item]:
    return read_transcript(log.conversation, ItemRange(after, before)).items


def texts(log: StoredLog, **where: int) -> list[str]:
    return [item.text for item in items(log, **where) if isinstance(item, TextSegment)]


def parts(log: StoredLog) -> Iterator[Transcript]:
    """Yield the parts of the transcript from the newest on, as people go through them."""
    part = read_transcript(log.conversation)
    yield part
    while part.older:
        part = read_transcript(log.conversation, ItemRange(before=part.older))
        yield part


def test_the_text_of_a_run_is_one_item_until_something_else_comes_also_once_it_is_folded(
    log: StoredLog, run: Run
) -> None:
    log.text(run, "one ", "two")
    log.step(run, "look")
    log.text(run, "three")
    before = items(log)
    assert [type(item) for item in before] == [MessageItem, TextSegment, Step, TextSegment]
    fold(run.id, run.conversation_id)
    assert [(i.dom_id, i.last) for i in items(log)] == [(i.dom_id, i.last) for i in before]
    assert texts(log) == ["one two", "three"]
    log.end(run)
    assert isinstance(items(log)[-1], RunNote)


@pytest.mark.parametrize("where", [{}, {"after": 4}, {"after": 7}, {"before": 6}])
def test_a_run_that_ends_while_a_part_is_read_leaves_no_half_of_its_text(
    log: StoredLog, run: Run, where: dict[str, int]
) -> None:
    log.text(run, "one ", "two ", "three ")
    log.step(run, "look")
    log.text(run, "four ", "five")

    def read() -> list[tuple[str, str]]:
        shown_items = items(log, **where)
        return [(item.dom_id, item.text) for item in shown_items if isinstance(item, TextSegment)]

    whole = read()
    assert whole
    assert set(whole) <= {("i3", "one two three "), ("i7", "four five")}
    for segments in with_between(read, lambda: fold(run.id, run.conversation_id)):
        assert segments == whole


@pytest.mark.parametrize("pieces", [[], ["one "]], ids=["nothing", "a piece"])
def test_a_run_that_writes_and_ends_while_a_page_is_read_is_done_with_its_text_once(
    log: StoredLog, run: Run, pieces: list[str]
) -> None:
    def read() -> tuple[str, list[str]]:
        page = read_page(log.conversation.owner_id, log.conversation.conversation_id)
        found = page.transcript.items
        return page.state.name, [item.text for item in found if isinstance(item, TextSegment)]

    def end() -> None:
        log.conversation.refresh_from_db()  # where an earlier end was rolled back
        log.text(run, "two")
        log.end(run)

    for piece in pieces:
        log.text(run, piece)
    whole = ["".join([*pieces, "two"])]
    assert read() == ("working", pieces)
    for state, shown_texts in with_between(read, end):
        assert shown_texts in (pieces, whole)
        assert state == "working" or shown_texts == whole


def with_between(read: Callable[[], T], other: Callable[[], object]) -> Iterator[T]:
    """Yield what `read` finds with `other` done before its first query, its second, and so on."""
    query_count = 0

    def execute(proceed: Callable[..., Any], *query: Any) -> Any:
        nonlocal query_count
        query_count += 1
        if query_count == number:
            other()
        return proceed(*query)

    for number in count(1):
        query_count = 0
        with transaction.atomic(), connection.execute_wrapper(execute):
            result = read()
            transaction.set_rollback(True)
        yield result
        if query_count <= number:
            break


def test_the_texts_of_two_runs_do_not_cut_each_other(log: StoredLog) -> None:
    first, second = log.message(), log.message()
    log.text(first, "a")
    log.text(second, "1")
    log.text(first, "b")
    log.text(second, "2")
    assert texts(log) == ["ab", "12"]


def test_a_step_is_one_item_from_its_beginning_to_its_end(log: StoredLog, run: Run) -> None:
    began = log.step(run, "look", "in_progress")
    ended = log.step(run, "look", "complete", "found")
    [step] = [item for item in items(log) if isinstance(item, Step)]
    place = (step.first, step.last)
    assert (place, step.state, step.text) == ((began, ended), "complete", "found")


def test_text_that_was_begun_anew_is_left_out(log: StoredLog, run: Run) -> None:
    first = log.text(run, "kept ", "cut ", "cut")
    log.append(run, "restart", {"from_sequence": first + 1})
    log.text(run, "anew")
    assert texts(log) == ["kept anew"]
    log.end(run)
    assert texts(log) == ["kept anew"]


def test_a_restart_counts_also_for_a_part_that_ends_before_it(log: StoredLog, run: Run) -> None:
    first = log.text(run, "cut")
    log.step(run, "look")
    other = log.message()
    log.append(run, "restart", {"from_sequence": first})
    log.end(other)
    assert texts(log, before=first + 2) == []


def test_an_item_is_the_same_whole_one_in_every_part_that_touches_it(
    log: StoredLog, run: Run
) -> None:
    first = log.text(run, "a", "b", "c", "d")
    whole = [(item.dom_id, item.last) for item in items(log) if isinstance(item, TextSegment)]
    for sequence in range(first, first + 4):
        assert texts(log, after=sequence - 1) == ["abcd"]
        assert texts(log, before=sequence + 1) == ["abcd"]
        part = [item for item in items(log, after=sequence - 1) if isinstance(item, TextSegment)]
        assert [(item.dom_id, item.last) for item in part] == whole


GO_ON = Option(value="y", label="Go on")


@pytest.mark.parametrize(
    ("prompt", "value", "line", "full"),
    [
        (BinaryPrompt(text="Sure?", options=[GO_ON, "n"]), "y", "Go on", ""),
        (TextPrompt(text="Why?"), "one\ntwo", "one\ntwo…", "one\ntwo"),
    ],
    ids=["an option", "lines"],
)
def test_a_question_changes_where_it_was_asked_into_a_line_with_the_answer_behind_it(
    log: StoredLog, run: Run, prompt: AnyPrompt, value: str, line: str, full: str
) -> None:
    interaction = log.ask(run, prompt)
    asked = items(log)[-1]
    assert isinstance(asked, Question)
    assert asked.outcome is None
    settled = log.settle(interaction, {"value": value}, by=log.conversation.owner)
    [question] = items(log, after=settled - 1)
    assert isinstance(question, Question)
    assert (question.first, question.last) == (interaction.sequence, settled)
    assert question.outcome is not None
    outcome = question.outcome
    assert (outcome.line, outcome.full, outcome.by) == (line, full, "ann")


def test_a_question_that_is_withdrawn_does_not_break_the_text_behind_it(
    log: StoredLog, run: Run
) -> None:
    prompt = log.ask(run, TextPrompt(text="Name?"))
    log.text(run, "one ")
    log.settle(prompt, None, status="cancelled")
    log.text(run, "text")
    assert texts(log) == ["one text"]


def test_cards_are_numbered_as_they_stand_on_the_page(log: StoredLog) -> None:
    for number in range(12):
        run = log.message()
        log.ask(run, TextPrompt(text=f"{number}?"))
        log.step(run, "look")
        log.end(run, "suspended")
    page = read_page(log.conversation.owner_id, log.conversation.conversation_id)
    placed_cards = [item.card for item in page.transcript.items if isinstance(item, Question)]
    on_page = [*placed_cards, *page.unplaced_cards]
    assert page.unplaced_cards
    assert [card and card.number for card in on_page] == list(range(1, 13))
    assert page.cards == on_page


def test_a_failed_run_says_why_and_can_be_tried_again(log: StoredLog) -> None:
    run = log.message("do it")
    log.end(run, "failed", "No disk.")
    note = items(log)[-1]
    assert isinstance(note, RunNote)
    assert (note.status, note.reason) == ("failed", "No disk.")
    assert note.retry_message_id


def test_the_note_of_a_run_that_a_message_replaced_stands_above_that_message(
    log: StoredLog, run: Run
) -> None:
    log.text(run, "one")
    other = log.message("do that instead")
    log.end(run, "cancelled")
    log.text(other, "two")
    assert [item.run for item in items(log)] == [run.id] * 3 + [other.id] * 2


@pytest.mark.slow
def test_a_long_conversation_is_read_part_by_part_without_a_gap(log: StoredLog) -> None:
    for number in range(45):
        run = log.message(f"m{number}")
        log.text(run, f"a{number} ", "x")
        log.end(run)
    items: dict[str, Item] = {}
    newest, *older = parts(log)
    assert len(newest.items) <= history.NEWEST_ROWS
    assert len(older) > 1
    for part in (newest, *older):
        items = {item.dom_id: item for item in part.items} | items
    sorted_items = sorted(items.values(), key=lambda item: item.first)
    messages = [item.text for item in sorted_items if isinstance(item, MessageItem)]
    answers = [item.text for item in sorted_items if isinstance(item, TextSegment)]
    assert messages == [f"m{number}" for number in range(45)]
    assert answers == [f"a{number} x" for number in range(45)]


def test_a_part_of_large_items_has_few_of_them_and_none_is_left_out(
    log: StoredLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "SIZE", 10_000)
    for number in range(12):
        run = log.message()
        size = 25_000 if number == 6 else 3000
        log.text(run, str(number) * size)
        log.end(run)
    texts: list[str] = []
    for part in parts(log):
        segment_texts = [item.text for item in part.items if isinstance(item, TextSegment)]
        assert sum(map(len, segment_texts[1:])) <= 10_000
        assert segment_texts
        texts = [*segment_texts, *texts]
    assert [text[:2] for text in texts] == [(str(number) * 2)[:2] for number in range(12)]


def test_the_newest_code_has_colours_and_much_of_it_costs_no_more(
    log: StoredLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transcript, "MOST_COLOURED", 1000)
    for _ in range(5):
        run = log.message()
        log.text(run, "```python\nNone\n```\n".ljust(400))
        log.end(run)
    shown = [item.shown for item in items(log) if isinstance(item, TextSegment)]
    has_colours = ["code-" in "".join([*text.above, *text.last]) for text in shown]
    assert has_colours == [False] * 3 + [True] * 2


@pytest.mark.slow
def test_earlier_items_come_in_larger_parts(log: StoredLog, run: Run) -> None:
    for number in range(300):
        log.step(run, f"look {number}")
    assert len(items(log)) == 50
    assert len(items(log, before=250)) == 100


def test_a_question_settled_late_hides_nothing_between(log: StoredLog, ann: User) -> None:
    prompt = log.ask(log.message("asks"), TextPrompt(text="Name?"))
    for number in range(30):
        log.end(log.message(f"m{number}"))
    log.settle(prompt, {"value": "Eve"}, by=ann)
    newest, *older = parts(log)
    assert newest.items[0].first == prompt.sequence
    assert newest.older > prompt.sequence + 1
    items = [item for part in (newest, *older) for item in part.items]
    messages = {item.text for item in items if isinstance(item, MessageItem)}
    assert messages == {"asks", *(f"m{number}" for number in range(30))}


@pytest.mark.slow
def test_a_page_of_many_events_is_as_cheap_as_one_of_few(
    log: StoredLog, django_assert_max_num_queries: Any
) -> None:
    for _ in range(30):
        run = log.message()
        log.text(run, *"abcdefgh")
        log.end(run)
    with django_assert_max_num_queries(9):
        assert len(items(log)) <= history.NEWEST_ROWS

"""Tests of what a look at the page asks of the database, however long the conversation is."""

import cProfile
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from chat_app.page.conversation import history
from chat_app.page.conversation.conversation_page import read_page
from chat_app.page.conversation.transcript import TextSegment
from chat_app.page.sidebar.sidebar_entries import sidebar
from sessions_app.models import Feedback
from sessions_app.prompts import TextPrompt
from tests.support.database.stored_log import StoredLog

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("branched", [False, True])
@pytest.mark.parametrize("rounds", [0, 1, 30])
def test_a_page_takes_at_most_twelve_queries(rounds: int, branched: bool) -> None:
    ann = User.objects.create_user("ann")
    log = StoredLog(ann)
    run = None
    for number in range(rounds):
        run = log.message(replaces=run if branched and number % 3 else None)
        log.text(run, "one ", "two ")
        log.step(run, "look", "in_progress")
        log.step(run, "look")
        log.ask(run, TextPrompt(text="Name?"))
        log.text(run, "three")
        if number % 2:
            log.end(run, "failed", "why")
            Feedback.objects.create(run=run, reaction="👍", given_at=timezone.now())
    with CaptureQueriesContext(connection) as queries:
        read_page(ann.pk, "c")
        sidebar(ann.pk)
    assert len(queries) <= 12, "\n".join(query["sql"][:200] for query in queries)


def calls_to_read(log: StoredLog) -> int:
    with cProfile.Profile() as profile:
        history.read(log.conversation.id)
    return sum(int(entry.callcount) for entry in profile.getstats())


def test_a_piece_of_a_growing_answer_is_little_work() -> None:
    log = StoredLog(User.objects.create_user("ann"))
    run = log.message()
    log.text(run, "one ")
    history.read(log.conversation.id)  # what is made once
    before = calls_to_read(log)
    log.text(run, *("word " for _ in range(200)))
    assert (calls_to_read(log) - before) / 200 < 15


@pytest.mark.slow
def test_runs_that_complete_while_a_page_asks_take_no_more_queries() -> None:
    """Many that go on beside each other, so that the page begins inside the text of each."""
    ann = User.objects.create_user("ann")
    log = StoredLog(ann)
    running = [log.message(f"m{number}") for number in range(20)]
    for _ in range(history.NEWEST_ROWS):
        for run in running:
            log.step(run, "look", "in_progress")
            log.step(run, "look")
            log.text(run, "a ")
    for run in running:
        log.text(run, "b ", "c ")
    log.ask(running[0], TextPrompt(text="Name?"))

    def completing(execute: Any, sql: str, *rest: Any) -> Any:
        result = execute(sql, *rest)
        if running and "first_sequence" in sql and "LIMIT" in sql:
            completed, running[:] = running[:], []
            for run in completed:
                log.end(run)
        return result

    with CaptureQueriesContext(connection) as queries, connection.execute_wrapper(completing):
        page = read_page(ann.pk, "c")
        sidebar(ann.pk)
    statements = [query["sql"] for query in queries if query["sql"].startswith("SELECT")]
    texts = [item.text for item in page.transcript.items if isinstance(item, TextSegment)]
    assert texts.count("a b c ") == 20
    assert len(statements) <= 12, "\n".join(query[:200] for query in statements)

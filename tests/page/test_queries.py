"""What a look at the page asks of the database, however long the conversation is."""

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext

from chat_app.page.conversation_page import read_page
from chat_app.page.sidebar.entries import sidebar
from sessions_app.workflows.prompts import TextPrompt
from tests.support.database.stored_log import StoredLog

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("rounds", [0, 1, 30])
def test_a_page_takes_at_most_twelve_queries(rounds: int) -> None:
    ann = User.objects.create_user("ann")
    log = StoredLog(ann)
    for number in range(rounds):
        run = log.message()
        log.text(run, "one ", "two ")
        log.step(run, "look", "in_progress")
        log.step(run, "look")
        log.ask(run, TextPrompt(text="Name?"))
        log.text(run, "three")
        if number % 2:
            log.end(run, "failed", "why")
    with CaptureQueriesContext(connection) as queries:
        read_page(ann.pk, "c")
        sidebar(ann.pk)
    assert len(queries) <= 12, "\n".join(query["sql"][:200] for query in queries)

"""What the page says that a conversation is doing goes by its log, whatever the clock says."""

import pytest
from django.contrib.auth.models import User

from chat_app.page.conversation.conversation_page import read_page
from chat_app.page.conversation.run_state import RunState
from tests.support.clock import an_hour_back
from tests.support.database.stored_log import StoredLog

pytestmark = pytest.mark.django_db


@pytest.fixture
def log(ann: User) -> StoredLog:
    return StoredLog(ann)


def state(log: StoredLog) -> RunState:
    return read_page(log.conversation.owner_id, log.conversation.conversation_id).state


def test_at_rest_it_is_the_state_of_the_last_run(log: StoredLog) -> None:
    log.end(log.message())
    with an_hour_back():
        log.end(log.message(), "failed")
    assert state(log).name == "failed"


def test_of_runs_beside_each_other_it_is_that_of_the_first_with_its_last_step(
    log: StoredLog,
) -> None:
    run = log.message()
    log.step(run, "read", "in_progress")
    log.step(run, "read")
    with an_hour_back():
        log.step(run, "write", "in_progress")
        log.message()
    assert state(log).words == "Working: write"

"""Tests of what the page says that a conversation is doing, and what it offers then."""

import pytest
from django.utils import timezone

from chat_app.page.conversation.conversation_page import MOST_SHOWN, ConversationState, read_page
from sessions_app.models import Interaction, Run
from sessions_app.prompts import TextPrompt
from tests.support.clock import an_hour_back
from tests.support.database.stored_log import StoredLog

pytestmark = pytest.mark.django_db


WAITING = ("waiting", "Waiting for managers")


def state(log: StoredLog) -> ConversationState:
    return read_page(log.conversation.owner_id, log.conversation.conversation_id).state


def test_without_active_runs_the_state_is_that_of_the_last_run(log: StoredLog) -> None:
    log.end(log.message())
    with an_hour_back():
        log.end(log.message(), "failed")
    assert state(log).name == "failed"


def test_a_run_that_ended_well_says_nothing(log: StoredLog) -> None:
    log.end(log.message())
    assert state(log) == ConversationState("completed", "")


def test_of_parallel_runs_the_first_is_shown_with_its_last_step(log: StoredLog) -> None:
    run = log.message()
    log.step(run, "read", "in_progress")
    log.step(run, "read")
    with an_hour_back():
        log.step(run, "write", "in_progress")
        log.message()
    assert state(log).words == "Working: write"


@pytest.mark.parametrize("others", [1, MOST_SHOWN])
def test_a_run_that_waits_for_the_person_comes_before_any_number_that_work(
    log: StoredLog, others: int
) -> None:
    for _ in range(others):
        log.message()
    log.ask(log.message(), TextPrompt(text="Name?"))
    assert state(log).name == "needs-you"


@pytest.mark.parametrize("directors", [0, 9])
def test_of_questions_for_others_the_first_is_told_and_none_is_their_owners_card(
    log: StoredLog, directors: int
) -> None:
    run = log.message()
    for name in ("managers", *["directors"] * directors):
        prompt = log.ask(run, TextPrompt(text="Name?"))
        asked_of = {"for_owner": False, "assignment": {"to": [], "names": [name]}}
        Interaction.objects.filter(pk=prompt.pk).update(**asked_of)
    page = read_page(log.conversation.owner_id, log.conversation.conversation_id)
    assert (page.cards, page.state.name, page.state.words) == ([], *WAITING)


def test_a_run_that_sleeps_is_paused_until_it_wakes(log: StoredLog) -> None:
    run, wakes_at = log.message(), timezone.now()
    log.step(run, "read", "in_progress")
    Run.objects.filter(pk=run.pk).update(status=Run.Status.WAITING, wake_at=wakes_at)
    assert state(log) == ConversationState(
        "sleeping", "Paused until", until=wakes_at, stoppable=True
    )


def test_stop_is_offered_until_each_run_was_asked_to_stop(log: StoredLog) -> None:
    runs = [log.message(), log.message()]
    for run, is_offered in zip(runs, (True, False), strict=True):
        Run.objects.filter(pk=run.pk).update(stop_requested_at=timezone.now())
        assert state(log).stoppable is is_offered

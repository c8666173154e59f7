"""Tests of what a run waits for, in the list of runs and in the first line of its page."""

import re
from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.utils import timezone

from sessions_app.models import Interaction, JournalEntry, Run
from sessions_app.prompts import TextPrompt
from tests.contrib.operations.test_attention import ask_group
from tests.contrib.operations.test_words import LISTS, end_run, offered_actions, words
from tests.support.database.stored_log import StoredLog
from tests.support.database.work_done import statements_of

pytestmark = pytest.mark.django_db

AGO = timezone.now() - timedelta(hours=11, minutes=5)


@pytest.fixture
def log() -> StoredLog:
    return StoredLog(User.objects.create_user("ann"), workflow="report")


def call(run: Run, kind: str, name: str, position: int = 1) -> None:
    JournalEntry.objects.create(
        run=run, position=position, kind=kind, name=name, sequence=1, started_at=AGO
    )


def page_of(run: Run) -> str:
    return f"{LISTS}run/{run.pk}/change/"


def first_line(client: Client, run: Run) -> str:
    html = client.get(page_of(run)).content.decode()
    [line, *_] = re.findall(r"<p>(.*?)</p>", html.partition("standing")[2])
    return re.sub(r"<.*?>", "", line)


def test_a_run_says_that_nobody_can_answer(admin_client: Client, log: StoredLog) -> None:
    prompt = ask_group(log, "Who knows?", "ghosts")
    Interaction.objects.filter(pk=prompt.pk).update(created_at=AGO)
    line = first_line(admin_client, prompt.run)
    assert line == "Waits 11 h for ghosts – nobody can answer: Who knows?"
    expected_actions = ["fork", "reassign", "cancel"]
    assert offered_actions(admin_client, page_of(prompt.run)) == expected_actions
    assert f"{prompt.pk}/answer/" in admin_client.get(page_of(prompt.run)).content.decode()


def test_a_question_that_somebody_can_answer_waits_for_them(
    admin_client: Client, log: StoredLog
) -> None:
    prompt = ask_group(log, "Is it fine?", "managers", "ben")
    Interaction.objects.filter(pk=prompt.pk).update(created_at=AGO)
    assert first_line(admin_client, prompt.run) == "Waits 11 h for managers: Is it fine?"
    Interaction.objects.filter(pk=prompt.pk).update(assignee=User.objects.get(username="ben"))
    assert first_line(admin_client, prompt.run) == "Waits 11 h for ben: Is it fine?"


@pytest.mark.parametrize(
    ("kind", "name", "line", "cell"),
    [
        ("wait", "money", "Waits 11 h for the event money", "event money"),
        ("sleep", "", "Waits 11 h, and goes on in 2\xa0minutes", "timer in 2 minutes"),
        ("run", "book", "Waits 11 h for the run the child", "child run the child"),
        ("step", "pay", "Working 11 h on pay", ""),
    ],
)
def test_a_run_says_what_it_waits_for(
    admin_client: Client, log: StoredLog, kind: str, name: str, line: str, cell: str
) -> None:
    run = log.message("the run")
    call(run, kind, name)
    if kind == "run":
        log.begin(text="the child", parent=run, parent_position=1)
    wake_at = timezone.now() + timedelta(minutes=2, seconds=30)
    Run.objects.filter(pk=run.pk).update(wake_at=wake_at)
    assert first_line(admin_client, run) == line
    assert f"running {cell} report ann".replace("  ", " ") in words(admin_client, f"{LISTS}run/")


@pytest.mark.slow
def test_a_run_says_how_it_stands(admin_client: Client, log: StoredLog) -> None:
    run = log.message("one")
    Run.objects.filter(pk=run.pk).update(started_at=AGO)
    assert first_line(admin_client, run) == "Working for 11 h"
    Run.objects.filter(pk=run.pk).update(stop_requested_at=AGO)
    assert first_line(admin_client, run) == "Stopping for 11 h"
    Run.objects.filter(pk=run.pk).update(status="completed", finished_at=AGO)
    assert first_line(admin_client, run) == "Done 11 h ago"
    end_run(run, "failed", code="workflow_error", detail="ValueError: no room")
    assert re.match(r"Failed \d+ ms ago: ValueError: no room", first_line(admin_client, run))
    suspended = log.message("two")
    Run.objects.filter(pk=suspended.pk).update(status="suspended", error={"code": "crashed"})
    assert re.match(r"Suspended .*s ago: its process died", first_line(admin_client, suspended))
    assert "resume" in offered_actions(admin_client, page_of(suspended))


def test_who_only_reads_is_offered_nothing(client: Client, log: StoredLog) -> None:
    prompt = ask_group(log, "Who knows?", "ghosts")
    eve = User.objects.create_user("eve", is_staff=True)
    eve.user_permissions.add(Permission.objects.get(codename="view_run"))
    client.force_login(eve)
    assert offered_actions(client, page_of(prompt.run)) == []
    assert f"{prompt.pk}/answer/" not in client.get(page_of(prompt.run)).content.decode()


@pytest.mark.slow
def test_the_list_takes_as_many_queries_for_many_runs(admin_client: Client, log: StoredLog) -> None:
    def add() -> None:
        run = log.ask(log.message(), TextPrompt(text="Your name?")).run
        call(run, "run", "book")
        log.begin(text="the child", parent=run, parent_position=1)

    add()
    count = statements_of(admin_client, f"{LISTS}run/")
    for _ in range(5):
        add()
    assert statements_of(admin_client, f"{LISTS}run/") == count
    assert "the child and 1 other report" in words(admin_client, f"{LISTS}run/")

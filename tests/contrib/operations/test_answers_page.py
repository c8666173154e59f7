"""Tests of the page that says how fast people and steps are."""

import re
from datetime import timedelta

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.test import Client
from django.utils import timezone
from django.utils.html import strip_tags

from sessions_app.models import Candidate, Interaction, JournalEntry, PendingSignal
from sessions_app.prompts import TextPrompt
from tests.support.database.stored_log import StoredLog

pytestmark = pytest.mark.django_db

PATH = "/admin/sessions_app/interaction/answers/"


@pytest.fixture
def log() -> StoredLog:
    """Return a conversation of ann's."""
    return StoredLog(User.objects.create_user("ann"), workflow="probe")


def store_answer(log: StoredLog, minutes: float, person: User, group: Group) -> Interaction:
    """Store a prompt of a group that a person has answered after so many minutes."""
    prompt = log.ask(log.message(), TextPrompt(text="Name?"))
    log.settle(prompt, {"value": "x"}, by=person)
    asked_at = timezone.now() - timedelta(days=1)
    Candidate.objects.create(
        interaction=prompt, group=group, asked_at=asked_at, owner=log.conversation.owner
    )
    Interaction.objects.filter(pk=prompt.pk).update(
        created_at=asked_at, answered_at=asked_at + timedelta(minutes=minutes)
    )
    return prompt


def sections(client: Client) -> dict[str, str]:
    """Return what each part of the page says, by its title."""
    html = client.get(PATH).content.decode()
    parts = re.findall(r'<h2 id="table-\d+">(.*?)</h2>(.*?)</section>', html, re.DOTALL)
    return {title: " ".join(strip_tags(part.replace("<", " <")).split()) for title, part in parts}


def test_times_are_shown_by_workflow_group_and_person(admin_client: Client, log: StoredLog) -> None:
    group = Group.objects.create(name="managers")
    slow, fast = (User.objects.create_user(name) for name in ("slow", "fast"))
    store_answer(log, 90, slow, group)
    store_answer(log, 30, fast, group)
    parts = sections(admin_client)
    assert "probe 2 1 h 0 min 1 h 30 min" in parts["Time to answer by workflow"]
    assert "managers 2 1 h 0 min 1 h 30 min" in parts["Time to answer by group"]
    assert "slow 1 1 h 30 min 1 h 30 min fast 1 30 min 0 s" in parts["Who takes longest"]
    assert parts["Overdue"] == "Nothing."


def test_overdue_prompts_slow_steps_and_late_notices_are_shown(
    admin_client: Client, log: StoredLog
) -> None:
    run = log.message()
    prompt = log.ask(run, TextPrompt(text="Who pays?"))
    now = timezone.now()
    Interaction.objects.filter(pk=prompt.pk).update(due_at=now - timedelta(hours=1))
    times = {"started_at": now, "finished_at": now + timedelta(seconds=3)}
    for position, error in enumerate((None, {"message": "no"}), start=5):
        JournalEntry.objects.create(
            run=run,
            position=position,
            kind="step",
            name="book",
            sequence=1,
            error=error,
            attempts=position - 4,
            **times,
        )
    late = {"name": "notice_due", "run": run, "due_at": now - timedelta(hours=1), "attempts": 4}
    PendingSignal.objects.create(about={"webhook": "asked", "id": "1"}, **late)
    parts = sections(admin_client)
    assert "Who pays? ann" in parts["Overdue"]
    assert "probe book 2 1 1 3.0 s 3.0 s" in parts["Slowest steps"]
    assert "mails 0 0 0 0" in parts["Mails and webhooks"]
    assert "webhooks 1 1 1 4" in parts["Mails and webhooks"]


def test_the_page_is_for_those_who_may_read_prompts(log: StoredLog) -> None:
    client, staff = Client(), User.objects.create_user("staff", is_staff=True)
    client.force_login(staff)
    assert client.get(PATH).status_code == 403
    staff.user_permissions.add(Permission.objects.get(codename="view_interaction"))
    assert "Overdue" in sections(client)
    assert "Slowest steps" not in sections(client)

"""Tests of the overview: what needs an operator is counted, listed, and a link away."""

import re
from datetime import timedelta

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.test import Client
from django.utils import timezone

from sessions_app.contrib.operations.admin import attention
from sessions_app.models import Candidate, Interaction, Run
from sessions_app.prompts import TextPrompt
from tests.contrib.operations.test_words import LISTS, end_run, words
from tests.support.database.stored_log import StoredLog

pytestmark = pytest.mark.django_db

TILE = re.compile(r'<a href="([^"]+)">\s*<b.*?>(\d+)</b>\s*([\w ]+?)\s*<', re.DOTALL)


@pytest.fixture
def log() -> StoredLog:
    return StoredLog(User.objects.create_user("ann"), workflow="report")


def ask_group(log: StoredLog, text: str, name: str, *members: str) -> Interaction:
    """Store a question to a group of these people."""
    prompt = log.ask(log.message(text), TextPrompt(text=text))
    group = Group.objects.create(name=name)
    group.user_set.add(*(User.objects.create_user(member) for member in members))
    rules = {"votes": 1, "four_eyes": False, "names": [name]}
    Interaction.objects.filter(pk=prompt.pk).update(assignment=rules, for_owner=False)
    Candidate.objects.create(
        interaction=prompt, group=group, asked_at=prompt.created_at, owner=log.conversation.owner
    )
    return prompt


def make_late(prompt: Interaction) -> None:
    due_at = timezone.now() - timedelta(minutes=9)
    Interaction.objects.filter(pk=prompt.pk).update(due_at=due_at)


@pytest.mark.slow
def test_each_tile_links_a_list_of_as_many_rows(admin_client: Client, log: StoredLog) -> None:
    ask_group(log, "Is it fine?", "managers", "ben")
    make_late(ask_group(log, "And that?", "chiefs", "cleo"))
    for name in ("ghosts", "spirits"):
        ask_group(log, f"Who, {name}?", name)
    for number in range(3):
        end_run(log.message(f"paused {number}"), "suspended", code="crashed")
    for number in range(4):
        end_run(log.message(f"failed {number}"), "failed", code="workflow_error")
    old_run = log.message("failed long ago")
    end_run(old_run, "failed", code="workflow_error")
    Run.objects.filter(pk=old_run.pk).update(finished_at=timezone.now() - timedelta(days=2))
    html = admin_client.get("/admin/").content.decode()
    tiles = {title: (int(count), url) for url, count, title in TILE.findall(html)}
    counts = {title: count for title, (count, _) in tiles.items()}
    expected_counts = {"Overdue": 1, "Nobody can answer": 2, "Suspended": 3, "Failed": 4}
    assert counts == expected_counts
    for count, url in tiles.values():
        page = admin_client.get(url.replace("&amp;", "&"))
        assert page.context["cl"].result_count == count, url


def test_what_needs_an_operator_is_listed_the_most_urgent_first(
    admin_client: Client, log: StoredLog
) -> None:
    assert "Nothing right now." in words(admin_client, "/admin/")
    end_run(log.message("broke"), "failed", code="workflow_error", detail="ValueError: no room")
    end_run(log.message("rests"), "suspended", code="crashed")
    ask_group(log, "Is it fine?", "managers", "ben")
    ask_group(log, "Who knows?", "ghosts")
    make_late(ask_group(log, "When then?", "spirits"))
    text = words(admin_client, "/admin/")
    expected_lines = (
        "When then?report OverdueNobody can answer spirits",
        "Who knows?report Nobody can answer ghosts",
        "restsreport Suspendedits process died",
        "brokereport FailedValueError: no room",
    )
    places = [text.find(line) for line in expected_lines]
    assert -1 not in places, text
    assert places == sorted(places)
    assert "Is it fine?" not in text
    assert "3 questions waiting" in text


def test_nobody_can_answer_a_question_whose_owner_left(
    admin_client: Client, log: StoredLog
) -> None:
    log.ask(log.message(), TextPrompt(text="Your name?"))
    User.objects.filter(username="ann").update(is_active=False)
    assert "Your name?report Nobody can answer ann" in words(admin_client, "/admin/")
    assert "Your name?" in words(admin_client, f"{LISTS}interaction/?waits=nobody")


def test_a_count_of_the_first_questions_says_so(
    admin_client: Client, log: StoredLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ghosts", "spirits"):
        ask_group(log, f"Who, {name}?", name)
    monkeypatch.setattr(attention, "LOOKED_AT", 1)
    assert "1 Nobody can answer of the 1 due first" in words(admin_client, "/admin/")
    assert "Who, spirits?" not in words(admin_client, f"{LISTS}interaction/?waits=nobody")


@pytest.mark.parametrize("model", ["interaction", "run"])
def test_who_reads_one_of_both_sees_its_tiles_only(
    client: Client, log: StoredLog, model: str
) -> None:
    eve = User.objects.create_user("eve", is_staff=True)
    eve.user_permissions.add(Permission.objects.get(codename=f"view_{model}"))
    client.force_login(eve)
    text = words(client, "/admin/")
    assert ("0 Overdue" in text, "0 Suspended" in text) == (model == "interaction", model == "run")

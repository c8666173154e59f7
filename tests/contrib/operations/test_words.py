"""Rows of the admin in words: who waits for what, and what came of it."""

import re
from datetime import timedelta
from html import unescape

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from django.utils.html import strip_tags

from sessions_app.models import Interaction, JournalEntry, Run
from sessions_app.prompts import AnyPrompt, BinaryPrompt, Option, TextPrompt
from tests.contrib.operations.test_pages import MODELS
from tests.support.database.stored_log import StoredLog

pytestmark = pytest.mark.django_db

LISTS = "/admin/sessions_app/"
ASKED = BinaryPrompt(
    text="Book <both> rooms?",
    options=[Option(value="a", label="Book them"), Option(value="b", label="Leave it")],
    default="b",
    timeout=7200,
    details={"Rooms": ["Five", "Seven"], "Public": True},
)


@pytest.fixture
def log(admin_user: User) -> StoredLog:
    """Return a conversation of ann's."""
    return StoredLog(User.objects.create_user("ann"), workflow="report")


def ask(log: StoredLog, prompt: AnyPrompt = ASKED, message: str = "May we?") -> Interaction:
    return log.ask(log.message(message), prompt)


def words(client: Client, path: str) -> str:
    """Return what a page says, without its markup."""
    text = client.get(path).content.decode()
    content = text.partition('id="content"')[2].replace("<td", " <td")
    return " ".join(strip_tags(content).split())


def links(client: Client, path: str) -> list[str]:
    """Return the first column of a list."""
    text = client.get(path).content.decode()
    return re.findall(r"<th data-label.*?>.*?>(.*?)</a>", text)


def offered_actions(client: Client, path: str) -> list[str]:
    """Return the actions on the page of a row."""
    return re.findall(r'name="action" value="(\w+)"', client.get(path).content.decode())


def end_run(run: Run, status: str, **error: str) -> None:
    now = timezone.now()
    Run.objects.filter(pk=run.pk).update(status=status, error=error or None, finished_at=now)


def test_a_prompt_is_a_sentence(admin_client: Client, log: StoredLog) -> None:
    text = words(admin_client, f"{LISTS}interaction/{ask(log).pk}/change/")
    assert "Book &lt;both&gt; rooms?" in text
    assert "Rooms FiveSeven Public yes" in text
    assert "one of two: Book them · Leave it" in text
    assert "then: Leave it" in text


def test_an_answer_is_shown_by_its_label_with_the_person(
    admin_client: Client, admin_user: User, log: StoredLog
) -> None:
    log.settle(ask(log), {"value": "a"}, by=admin_user, via="admin")
    text = words(admin_client, f"{LISTS}interaction/")
    assert re.search(r"answered ann Book them admin from the admin [\d:]{8} ", text)


def test_pending_prompts_are_ordered_by_deadline(admin_client: Client, log: StoredLog) -> None:
    for text, timeout in (("never", None), ("late", 9000), ("soon", 60), ("done", 30)):
        last = ask(log, TextPrompt(text=text, timeout=timeout))
    log.settle(last, {"value": "yes"})
    expected_names = ["soon", "late", "never"]
    assert links(admin_client, f"{LISTS}interaction/?status__exact=pending") == expected_names
    first = words(admin_client, "/admin/")
    assert "3 questions waiting, 1 expires within the hour" in first


@pytest.mark.slow
def test_actions_are_offered_where_they_apply(admin_client: Client, log: StoredLog) -> None:
    interaction = ask(log)
    run = interaction.run
    run_page = f"{LISTS}run/{run.pk}/change/"
    page = f"{LISTS}interaction/{interaction.pk}/change/"
    assert "cancel" in offered_actions(admin_client, run_page)
    assert "resume" not in offered_actions(admin_client, run_page)
    assert offered_actions(admin_client, page) == ["answer", "reassign", "expire"]
    log.settle(interaction, None, status="cancelled")
    end_run(run, "failed", code="workflow_error")
    assert "cancel" not in offered_actions(admin_client, run_page)
    assert "resume" in offered_actions(admin_client, run_page)
    assert offered_actions(admin_client, page) == []
    rows = admin_client.get(f"{LISTS}interaction/").content.decode()
    assert 'class="action-select"' not in rows
    settled_list = admin_client.get(f"{LISTS}interaction/?status__exact=cancelled").content.decode()
    assert 'value="expire"' not in settled_list


def test_the_admin_distinguishes_workflow_errors_from_crashes(
    admin_client: Client, log: StoredLog
) -> None:
    failed_run, crashed_run = log.message("one"), log.message("two")
    end_run(failed_run, "failed", code="workflow_error", detail="Traceback\nValueError: no room")
    end_run(crashed_run, "suspended", code="crashed", detail="")
    assert "ValueError: no room" in words(admin_client, f"{LISTS}run/")
    assert "its process died" in words(admin_client, f"{LISTS}run/?status__exact=suspended")
    assert links(admin_client, f"{LISTS}run/?cause=workflow_error") == ["one"]
    Run.objects.filter(pk=failed_run.pk).update(finished_at=timezone.now() - timedelta(days=2))
    assert "0 Failed in 24 hours" in words(admin_client, "/admin/")
    end_run(failed_run, "failed", code="workflow_error")
    assert "1 Failed in 24 hours" in words(admin_client, "/admin/")


def test_how_long_a_run_took_is_in_the_list(admin_client: Client, log: StoredLog) -> None:
    run = log.message("one")
    began = timezone.now() - timedelta(hours=3, minutes=5, seconds=1)
    Run.objects.filter(pk=run.pk).update(started_at=began)
    assert "running for 3 h 5 min" in words(admin_client, f"{LISTS}run/")
    Run.objects.filter(pk=run.pk).update(finished_at=began + timedelta(seconds=2.5))
    assert "2.5 s" in words(admin_client, f"{LISTS}run/")


def test_the_history_of_a_run_is_chronological(
    admin_client: Client, admin_user: User, log: StoredLog
) -> None:
    interaction = ask(log)
    run = interaction.run
    log.settle(interaction, {"value": "a"}, by=admin_user, via="admin")
    log.append(run, "run", {"status": "running", "replayed": 2, "reason": "resumed by boss"})
    now = timezone.now()
    times = {"started_at": now, "finished_at": now + timedelta(seconds=2)}
    step = {"position": 1, "kind": "step", "name": "book", "result": {"room": 5}, "attempts": 3}
    JournalEntry.objects.create(run=run, sequence=log.last, **step, **times)
    error = {"type": "ValueError", "message": "no money"}
    failed = {"position": 2, "kind": "step", "name": "pay", "error": error}
    times["finished_at"] = now + timedelta(seconds=0.01)
    JournalEntry.objects.create(run=run, sequence=log.last, **failed, **times)
    wait = {"position": 3, "kind": "wait", "name": "money", "started_at": now}
    JournalEntry.objects.create(run=run, sequence=log.last, **wait)
    log.append(run, "run", {"status": "failed", "error": {"message": "It was full."}})
    text = words(admin_client, f"{LISTS}run/{run.pk}/change/")
    history = text.partition("Timeline")[2]
    expected_lines = (
        "Started",
        "0. question Book &lt;both&gt; rooms? answered",
        "Book them – admin, from the admin",
        "Taken up again 2 calls replayed; resumed by boss",
        "1. step book done 2.0 s, 2 retries slowest {&quot;room&quot;: 5}",
        "2. step pay failed 10 ms no money",
        "3. wait for another system money not finished",
        "Failed It was full.",
    )
    places = [history.find(one) for one in expected_lines]
    assert -1 not in places, (places, history[:1500])
    assert places == sorted(places)


@pytest.mark.parametrize(
    ("language", "expected_words"),
    [("en", "message of a person"), ("de", "Nachricht einer Person"), ("ja", "人からのメッセージ")],
)
def test_events_are_named_in_words(
    admin_client: Client, log: StoredLog, language: str, expected_words: str
) -> None:
    log.message()
    html = admin_client.get(f"{LISTS}event/", headers={"accept-language": language})
    assert f'<span title="user_message">{expected_words}</span>' in html.content.decode()


def test_the_chat_is_a_link_away(admin_client: Client, log: StoredLog) -> None:
    for page in (f"run/{log.message().pk}", f"conversation/{log.conversation.pk}"):
        assert '<a href="/c/c/">' in admin_client.get(f"{LISTS}{page}/change/").content.decode()


LABELS = re.compile(r"<(th|dt|dd|summary|h1|h2|button|option|label)\b[^>]*>(.*?)</\1>", re.DOTALL)
# A row as it is stored has the names of the code.
STORED = re.compile(r"<details class=.operations.>.*?</details>", re.DOTALL)
# What rows say of themselves, and words that are the same.
SAME = {
    *("Book <both> rooms?", "Rooms", "Five Seven", "Public", "Book them", "Leave it"),
    *("A log", "May we?", "May we? report", "c", "ann", "admin", "report", "probe", "X"),
    *("---------", "Workflows", "Chat", "Id", "Status", "Name", "Version", "Workflow"),
    *("Builder", "Worker", "Hosts", "Position", "Webhook"),
    "Filter",  # of Django
    "Procrastinate jobs",  # of that package
    "Run",  # of Django 6.1, whose German has no word for the button
}


def labels(client: Client, path: str, language: str) -> list[str]:
    """Return the headings, columns, filters and buttons of a page."""
    html = client.get(path, headers={"accept-language": language}).content.decode()
    texts = (strip_tags(text) for _, text in LABELS.findall(STORED.sub("", html)))
    return [" ".join(unescape(text).replace(":", "").split()) for text in texts]


@pytest.mark.slow
def test_pages_are_german_where_people_want_that(admin_client: Client, log: StoredLog) -> None:
    prompt = ask(log)
    rows = {"run": prompt.run, "interaction": prompt, "conversation": log.conversation}
    paths = [f"{LISTS}{model}/" for model in MODELS]
    paths += [f"{LISTS}{model}/{row.pk}/change/" for model, row in rows.items()]
    paths += [f"{LISTS}run/{prompt.run_id}/fork/", f"{LISTS}interaction/{prompt.pk}/answer/"]
    paths += ["/admin/", f"{LISTS}interaction/answers/"]
    paths += [f"/admin/chat_app/{page}/" for page in ("apikey", "apikey/add", "oauthgrant")]
    for path in paths:
        both = zip(labels(admin_client, path, "en"), labels(admin_client, path, "de"), strict=True)
        same = {label for label, german in both if label == german and re.search("[a-z]", label)}
        same -= {str(row.pk) for row in rows.values()}
        assert same <= SAME, (path, same - SAME)

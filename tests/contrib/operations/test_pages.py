"""Tests of what operators read in the admin."""

import re
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group, Permission, User
from django.db import connection
from django.db.models import ProtectedError
from django.db.models.signals import pre_delete
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django.utils.html import strip_tags

from sessions_app.contrib.operations.admin.read_only import INLINE_ROWS
from sessions_app.models import (
    AuditEntry,
    Candidate,
    Conversation,
    Event,
    HostLease,
    Interaction,
    JournalEntry,
    Run,
)
from sessions_app.prompts import TextPrompt
from tests.support.database import operator_rows
from tests.support.database.stored_log import StoredLog
from tests.support.database.work_done import statements_of

pytestmark = pytest.mark.django_db

NOW = timezone.now()
INTERACTIONS = "/admin/sessions_app/interaction/"
MODELS = [
    *("conversation", "run", "interaction", "hostlease", "event", "journalentry"),
    *("process", "feedback", "attachment", "auditentry", "pendingsignal"),
]


@pytest.fixture
def run(admin_user: User) -> Run:
    """Return a suspended run with a pending interaction, a journal and 150 pieces of text."""
    log = StoredLog(admin_user, "c <b>", workflow="probe", title="A <b>title</b>")
    run = log.message("hello <script>")
    log.ask(run, TextPrompt(text="Your <i>name</i>?", details={"To": "whom"}))
    log.text(run, *(f"piece-{n}." for n in range(1, 151)))
    error = {"code": "x", "message": "It stopped.", "detail": "Traceback <x>"}
    rows = Run.objects.filter(pk=run.pk)
    rows.update(key="user:1:probe", status="suspended", error=error, started_at=NOW)
    JournalEntry.objects.create(
        run=run,
        position=1,
        kind="step",
        name="book",
        arguments='["room 5"]',
        difference='the arguments: ["room 5"] became ["room 6"]',
        result={"total": 5},
        sequence=2,
        started_at=NOW,
        finished_at=NOW + timedelta(seconds=2),
    )
    HostLease.objects.create(
        key="user:1:probe",
        generation=3,
        worker="w:1",
        workflow="probe",
        user_id=str(admin_user.pk),
        started_at=NOW,
        last_activity=NOW,
        metrics={"total_requests": 4, "total_latency_ms": 1000, "ref_count": 1, "error_count": 0},
    )
    return rows.get()


def page(client: Client, model: str, row: Any = None) -> str:
    path = f"/admin/sessions_app/{model}/" + (f"{row.pk}/change/" if row else "")
    response = client.get(path)
    assert response.status_code == 200, path
    return response.content.decode()


@pytest.mark.slow
def test_a_run_shows_prompts_journal_and_events_in_order(admin_client: Client, run: Run) -> None:
    text = page(admin_client, "run", run)
    assert "It stopped." in text
    assert "Traceback &lt;x&gt;" in text
    assert "Your &lt;i&gt;name" in text
    assert "2.0 s" in text
    assert "piece-50." not in text
    assert text.index("piece-51.") < text.index("piece-100.") < text.index("piece-150.")
    assert text.count("piece-") == INLINE_ROWS


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "title"),
    [
        (Conversation, "A &lt;b&gt;title&lt;/b&gt;"),
        (Run, "hello &lt;script&gt;"),
        (Interaction, "Your &lt;i&gt;name&lt;/i&gt;?"),
        (HostLease, "admin: probe"),
        (JournalEntry, "1 step book"),
        (Event, "153 piece of text"),
    ],
)
def test_a_page_is_titled_by_words(
    admin_client: Client, run: Run, model: type[Any], title: str
) -> None:
    text = page(admin_client, model.__name__.lower(), model.objects.last())
    assert f"<h1>{title}</h1>" in text
    assert "<script>" not in text.replace("<script src", "")
    assert re.search(rf"{re.escape(title)}\s*</div>", text)  # the end of the breadcrumbs
    for row in (run, run.conversation, HostLease.objects.get()):
        assert not re.search(rf"<(h\d|title|a)\b[^>]*>[^<]*{row.pk}", text)


@pytest.mark.slow
def test_a_page_leaves_out_what_is_empty(admin_client: Client, run: Run) -> None:
    labels = re.compile("<dt>(.*?)</dt>")
    names = labels.findall(page(admin_client, "run", run))
    assert names[:4] == ["Status", "Error", "Error in detail", "Where"]
    assert not {"Message", "Feedback", "Replay problem", "Finished at", "Children"} & {*names}
    Run.objects.filter(pk=run.pk).update(error=None, finished_at=NOW, text="w " * 99)
    names = labels.findall(page(admin_client, "run", run))
    assert names[:3] == ["Message", "Status", "Where"]
    assert "Finished at" in names


@pytest.mark.slow
def test_all_events_of_a_run_are_a_link_away(admin_client: Client, run: Run) -> None:
    link = f"/admin/sessions_app/event/?run__id__exact={run.pk}"
    assert link in page(admin_client, "run", run)
    text = admin_client.get(link + "&p=2").content.decode()
    assert "piece-48." in text  # behind the message, its run and its question
    assert "piece-47." not in text


def test_the_metrics_of_a_builder_are_shown(admin_client: Client, run: Run) -> None:
    Run.objects.filter(pk=run.pk).update(status="failed")
    text = page(admin_client, "hostlease")
    columns = ("what", "in_use", "requests", "errors", "latency")
    cells = [cell(text, "admin", name) for name in columns]
    assert cells == ["probe", "1", "1", "1", "250 ms"]
    assert 'class="state running">live' in text


def test_a_session_of_a_shared_workflow_is_its_owner_s(admin_client: Client) -> None:
    run = operator_rows.run("running")
    HostLease.objects.create(
        key=run.key, worker="w:1", workflow="probe", started_at=NOW, last_activity=NOW
    )
    text = page(admin_client, "hostlease")
    assert [cell(text, "ann", name) for name in ("in_use", "requests")] == ["1", "0"]
    assert "shared with all" in text
    conversation_page = f"/admin/sessions_app/conversation/{run.conversation_id}/change/"
    assert f'probe <br><a href="{conversation_page}">' in text
    path = "/admin/sessions_app/hostlease/?q="
    assert ">ann</a>" in admin_client.get(f"{path}ann").content.decode()
    assert ">ann</a>" not in admin_client.get(f"{path}ben").content.decode()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("metrics", "found"),
    [({}, ["none"]), ({"ref_count": 0}, ["live", "idle"]), ({"ref_count": 2}, ["live", "used"])],
)
def test_sessions_are_filtered_by_their_builder(
    admin_client: Client, run: Run, metrics: dict[str, int], found: list[str]
) -> None:
    HostLease.objects.update(metrics=metrics)
    path = "/admin/sessions_app/hostlease/?builder="
    texts = {
        name: admin_client.get(path + name).content.decode()
        for name in ("live", "used", "idle", "none")
    }
    assert [name for name, text in texts.items() if ">admin</a>" in text] == found


def test_sessions_are_the_first_entry(admin_client: Client) -> None:
    text = admin_client.get("/admin/").content.decode()
    entries = re.findall(r'<th scope="row" id="([\w-]+)">', text)
    assert entries[:2] == ["sessions_app-hostlease", "sessions_app-run"]


@pytest.mark.slow
def test_a_page_takes_as_many_statements_with_more_rows(admin_client: Client, run: Run) -> None:
    def add_rows() -> None:
        for number in range(4):
            run = operator_rows.run("failed", error={"code": "x"})
            user = User.objects.create_user(run.pk.hex[:20])
            log.settle(log.ask(asking, TextPrompt(text="Name?")), {"value": "a"}, by=user)
            prompt = log.ask(asking, TextPrompt(text="Late?"))
            Interaction.objects.filter(pk=prompt.pk).update(due_at=NOW - timedelta(hours=1))
            answered = log.ask(log.message(), TextPrompt(text="Name?"))
            log.settle(answered, {"value": "x"}, by=user)
            Candidate.objects.create(
                interaction=answered, group=group, asked_at=NOW, owner=log.conversation.owner
            )
            about = {"run": run.pk, "workflow": "probe", "question": "Name?", "by": str(user.pk)}
            AuditEntry.objects.create(interaction=run.pk, action="claimed", at=NOW, **about)
            for key in (run.key, f"user:{user.pk}:probe"):
                HostLease.objects.create(
                    key=key,
                    user_id=str(user.pk) if key.startswith("user") else "",
                    worker=f"w:{number}",
                    workflow="probe",
                    started_at=NOW,
                    last_activity=NOW,
                )

    log = StoredLog(User.objects.create_user("ann"), workflow="report")
    asking, group = log.message(), Group.objects.create(name="managers")
    lists = [f"/admin/sessions_app/{model}/" for model in MODELS]
    paths = [*lists, "/admin/", f"/admin/sessions_app/run/{asking.pk}/change/"]
    paths += [f"{INTERACTIONS}{name}" for name in ("?waits=nobody", "answers/")]
    paths += [f"{INTERACTIONS}{log.ask(asking, TextPrompt(text='?')).pk}/change/"]
    add_rows()
    before = {path: statements_of(admin_client, path) for path in paths}
    add_rows()
    assert {path: statements_of(admin_client, path) for path in paths} == before
    assert [path for path in lists if before[path] > 16] == []
    most = {"/admin/": 24}
    assert [path for path in paths if before[path] > most.get(path, 19)] == []


def cell(text: str, row: str, column: str) -> str:
    """Return what a list shows in a column of the row that begins with this text."""
    cells = text.split(f">{row}</a>")[1].split("</tr>")[0]
    return cells.split(f'class="field-{column}">')[1].split("<")[0]


def test_processes_are_alive_draining_or_gone(admin_client: Client) -> None:
    operator_rows.process("web:1", "web")
    operator_rows.process("worker:1", "worker", hosts=6, concurrency=100, queues=["heavy"])
    operator_rows.process("worker:2", "worker", draining=True)
    operator_rows.process("worker:3", "worker", silent=60)
    text = page(admin_client, "process")
    names = ("web:1", "worker:1", "worker:2", "worker:3")
    assert [cell(text, name, "state") for name in names] == ["alive", "alive", "draining", "gone"]
    assert cell(text, "worker:1", "hosting") == "6 of 100"
    assert [cell(text, name, "queue_names") for name in names[1:3]] == ["heavy", "all"]


@pytest.mark.slow
def test_a_host_shows_whether_its_worker_is_gone(admin_client: Client, run: Run) -> None:
    path = "/admin/sessions_app/hostlease/?host=gone"
    assert cell(page(admin_client, "hostlease"), "admin", "host") == "w:1 (gone)"
    for released_at, is_listed in ((NOW, False), (None, True)):
        HostLease.objects.update(released_at=released_at)
        assert (">admin</a>" in admin_client.get(path).content.decode()) == is_listed
    operator_rows.process("w:1", "worker")
    assert cell(page(admin_client, "hostlease"), "admin", "host") == "w:1"
    assert ">admin</a>" not in admin_client.get(path).content.decode()


def figures(client: Client) -> str:
    """Return the overview on the first page, without its markup."""
    text = client.get("/admin/").content.decode()
    overview = text.partition('aria-label="Deployment">')[2]
    return " ".join(strip_tags(overview.partition("</section>")[0]).split())


@pytest.mark.slow
def test_the_first_page_says_how_the_deployment_stands(admin_client: Client, run: Run) -> None:
    operator_rows.process("web:1", "web")
    operator_rows.process("worker:3", "worker", silent=60)
    text = figures(admin_client)
    assert "Processes 1 web 0 hosting 1 gone" in text
    assert "Runs 0 queued 0 running 0 waiting 1 suspended" in text
    assert "Hosts 1 held 1 with a worker that is gone" in text


@pytest.mark.cluster_only("one process has no queue")
def test_the_first_page_says_how_the_queues_stand(admin_client: Client) -> None:
    dead, alive = operator_rows.taker(silent=60), operator_rows.taker()
    operator_rows.job("a", "doing", by=dead)
    operator_rows.job("b", "doing", by=alive)
    operator_rows.job("b")
    operator_rows.job("c", "failed", queue="heavy")
    text = figures(admin_client)
    assert "Queue default 1 queued 2 running 1 stalled 0 failed" in text
    assert "Queue heavy 0 queued 0 running 0 stalled 1 failed" in text
    operator_rows.job("d")
    assert re.search(r"Queue default 2 queued \(oldest \d+\.\d s\)", figures(admin_client))


def test_staff_who_may_not_see_processes_get_no_figures(client: Client) -> None:
    client.force_login(User.objects.create_user("viewer", is_staff=True))
    assert figures(client) == ""


@pytest.mark.slow
def test_nothing_is_added_or_edited(admin_client: Client, run: Run) -> None:
    lists = [f"/admin/sessions_app/{model}/" for model in MODELS]
    added = {path: admin_client.get(f"{path}add/").status_code for path in lists}
    assert set(added.values()) == {403}, added
    for row in (run, HostLease.objects.get()):
        path = f"/admin/sessions_app/{row._meta.model_name}/{row.pk}/change/"
        assert admin_client.post(path, {"key": "x"}).status_code == 403
        row.refresh_from_db()
        assert row.key == "user:1:probe"


def test_only_superusers_delete_all_of_it(client: Client, admin_client: Client, run: Run) -> None:
    path = f"/admin/sessions_app/conversation/{run.conversation_id}/delete/"
    staff = User.objects.create_user("staff", is_staff=True)
    staff.user_permissions.set(Permission.objects.filter(content_type__app_label="sessions_app"))
    client.force_login(staff)
    assert client.post(path, {"post": "yes"}).status_code == 403
    html = admin_client.get(path).content.decode()
    assert "events: 153" in html.lower()
    assert "piece-" not in html
    admin_client.post(path, {"post": "yes"})
    assert not Event.objects.exists()


@pytest.mark.parametrize("page", ["{}/delete/", ""])
def test_what_keeps_a_conversation_is_named_where_it_is_deleted(
    admin_client: Client, run: Run, page: str
) -> None:
    def protect(instance: Run, **_: object) -> None:
        raise ProtectedError("An order needs it.", {instance})

    selected = {"action": "delete_selected", "_selected_action": [str(run.conversation_id)]}
    path = f"/admin/sessions_app/conversation/{page.format(run.conversation_id)}"
    pre_delete.connect(protect, Run)
    try:
        response = admin_client.post(path, {"post": "yes", **selected}, follow=True)
    finally:
        pre_delete.disconnect(protect, Run)
    assert f"Nothing was deleted. An order needs it. (run “{run}”)" in unescape(response.text)
    assert not LogEntry.objects.exists()
    assert Run.objects.get() == run


@pytest.mark.slow
@pytest.mark.cluster_only(reason="SQLite locks no rows")
@pytest.mark.parametrize("action", ["delete/", ""])
def test_a_conversation_is_locked_before_anything_of_it_is_deleted(
    admin_client: Client, run: Run, action: str
) -> None:
    """Were it the other way round, a host that writes to its log and the operator would
    deadlock.
    """
    path = "/admin/sessions_app/conversation/"
    path += f"{run.conversation_id}/{action}" if action else ""
    selected = {"action": "delete_selected", "_selected_action": [str(run.conversation_id)]}
    with CaptureQueriesContext(connection) as statements:
        admin_client.post(path, {"post": "yes", **selected})
    queries = [query["sql"] for query in statements.captured_queries]
    locks = [at for at, sql in enumerate(queries) if "FOR UPDATE" in sql and "conversation" in sql]
    deletes = [at for at, sql in enumerate(queries) if sql.startswith("DELETE")]
    assert min(locks) < min(deletes)
    assert not Event.objects.exists()

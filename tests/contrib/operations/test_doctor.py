"""`manage.py doctor` sees what is wrong, and says what to do."""

import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import structlog
import time_machine
from django.contrib.auth.models import Group
from django.core.checks import ERROR, INFO, WARNING, Error, Info, run_checks
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.db import connection
from django.utils import timezone

from sessions_app.contrib.operations.doctor import deployment, disk
from sessions_app.contrib.operations.doctor.deployment import CHECKS
from sessions_app.contrib.operations.management.commands.doctor import LEVELS
from sessions_app.hosting.dispatch import queue
from sessions_app.hosting.dispatch.dispatcher import ProcessReport
from sessions_app.lifecycle import processes, start_checks
from sessions_app.lifecycle.findings import Check, Findings, examine
from sessions_app.models import HostLease, Process
from sessions_app.storage.transaction import Transaction
from sessions_app.workflows import registry
from sessions_app.workflows.config import RuntimeConfig
from tests.conftest import NewServer
from tests.support.database import operator_rows
from tests.support.hitl import set_hitl
from tests.support.processes.command import run
from tests.support.running_form import CLUSTER
from tests.support.server import Server
from tests.support.websocket import WsClient

pytestmark = [
    pytest.mark.every_form(reason="there is more to look at"),
    pytest.mark.django_db(transaction=True),
]

cluster_only = pytest.mark.cluster_only("one process has no queue and no Redis")
MINUTE_AGO = timezone.now() - timedelta(minutes=1)


@pytest.fixture
def up() -> None:
    if CLUSTER:
        operator_rows.process("web:1", "web")
        operator_rows.process("worker:1", "worker", job_worker=operator_rows.taker())
    else:
        operator_rows.process("all:1", "both")


def run_check(check: str) -> list[str]:
    """Return what the check of this name says: `ok: …`, `warning: …`, `wrong: …`."""
    return [f"{LEVELS[one.level]}: {one.msg}" for one in examine(CHECKS) if one.obj == check]


@pytest.mark.usefixtures("up")
def test_a_deployment_that_is_up_is_well() -> None:
    # The tests' PostgreSQL need not keep what it commits.
    wrongs = {one.obj for one in examine(CHECKS) if one.level >= ERROR} - {"durability"}
    assert not wrongs


@pytest.mark.local_only("the tests' PostgreSQL is not durable, which is wrong")
@pytest.mark.usefixtures("up")
def test_each_check_is_a_line() -> None:
    out = StringIO()
    call_command("doctor", stdout=out)
    assert "✓ durability: WAL" in out.getvalue()
    assert "✓ migrations: all applied.\n" in out.getvalue()


def test_check_with_a_database_shows_the_findings() -> None:
    """The findings have an id and a hint; the usual `check` and `runserver` make none of them."""
    with pytest.raises(SystemCheckError) as error_info:
        call_command("check", "--deploy", "--tag", "hitl", "--database", "default")
    assert "web: (sessions_app.E130) none is up" in str(error_info.value)
    assert "HINT: Start the web server" in str(error_info.value)


@pytest.mark.django_db(databases=[])
@pytest.mark.parametrize("options", [(), ("--deploy",)])
def test_the_usual_check_asks_no_database(options: tuple[str, ...]) -> None:
    """Check ours: from 6.1 on, those of Django ask each database unless none is named."""
    call_command("check", *options, databases=[])


def own_messages(**options: Any) -> list[str]:
    """Return what Django's checks say of ours, with their ids."""
    messages = run_checks(**options)
    return [f"{one.id}: {one.msg}" for one in messages if str(one.id).startswith("sessions_app.")]


def test_migrate_finds_nothing_where_all_is_well() -> None:
    """`migrate` has Django check the database."""
    assert own_messages(databases=["default"]) == []


@pytest.mark.beyond("migrate makes the tables that its checks read")
@pytest.mark.slow
def test_migrate_makes_the_tables_that_its_checks_read(tmp_path: Path) -> None:
    config = tmp_path / "workflows.yaml"
    config.write_text("default: calculator\nworkflows:\n  calculator: {groups: [nobody]}\n")
    env = {**os.environ, "DATA_DIR": str(tmp_path), "WORKFLOWS_FILE": str(config)}
    env |= {"DATABASE_URL": "", "REDIS_URL": ""}
    process = run("manage.py", "migrate", env=env)
    assert (process.returncode, "nobody" in process.stdout + process.stderr) == (0, False)
    process = run("manage.py", "check", "--database", "default", env=env)
    problem = "(sessions_app.W103) calculator is for the group 'nobody': no such group"
    assert (process.returncode, problem in process.stderr) == (0, True), process.stderr
    assert "nobody" not in run("manage.py", "check", env=env).stderr


GONE = [
    "unfinished runs of the workflow gone, which is not offered here: 2",
    "unfinished runs of version 7 of calculator, which is not offered here: 1",
]


@pytest.fixture
def _runs_without_code() -> None:
    for status in ("waiting", "suspended", "completed"):
        operator_rows.run(status, workflow="gone", version=1)
    for version in (None, 1, 7):
        operator_rows.run("waiting", workflow="calculator", version=version)


@pytest.mark.usefixtures("_runs_without_code")
def test_runs_whose_workflow_is_gone_are_named_with_their_number() -> None:
    assert run_check("workflows")[1:] == [f"warning: {one}" for one in reversed(GONE)]
    named = [f"sessions_app.W103: {one}" for one in reversed(GONE)]
    assert own_messages(databases=["default"]) == named
    deployed = own_messages(databases=["default"], include_deployment_checks=True)
    assert [one for one in deployed if "not offered here" in one] == named
    assert own_messages() == []  # without a database


@pytest.mark.usefixtures("_runs_without_code")
def test_a_start_says_which_runs_have_no_workflow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(start_checks, "lock_database", lambda path: None)
    with structlog.testing.capture_logs() as logs:
        start_checks.check_start()
    lines = [line for line in logs if line["event"] == "workflows.unusable"]
    assert [line["reason"] for line in lines] == [*reversed(GONE)]
    assert "stop them in the admin" in lines[0]["remedy"]


@pytest.mark.slow
@pytest.mark.local_only("the other form has all that it needs")
def test_redis_without_the_cluster_packages_is_reported() -> None:
    """A sentence, and no traceback of the first import that fails."""
    code = (
        "import sys; sys.modules['procrastinate'] = sys.modules['psycopg'] = None\n"
        "from django.conf import settings; settings.HITL['REDIS_URL'] = 'redis://127.0.0.1:1/0'\n"
        "from django.core.management import execute_from_command_line\n"
        "execute_from_command_line(['manage.py', 'doctor'])"
    )
    process = run("-c", code, env={**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings"})
    assert process.returncode == 1, process.stderr
    assert process.stdout.startswith("✗ form: HITL has a REDIS_URL")


def test_a_silenced_check_is_not_printed(settings: Any) -> None:
    settings.SILENCED_SYSTEM_CHECKS = ["sessions_app.E130"]
    out = StringIO()
    with suppress(SystemExit):
        call_command("doctor", stdout=out)
    assert "none is up. Start the web server" not in out.getvalue()


def test_doctor_exits_with_1_on_errors() -> None:
    out = StringIO()
    with pytest.raises(SystemExit) as error_info:
        call_command("doctor", stdout=out)
    assert error_info.value.code == 1
    assert "✗ web: none is up. Start the web server" in out.getvalue()


def test_programs_read_json() -> None:
    out = StringIO()
    with pytest.raises(SystemExit):
        call_command("doctor", "--json", stdout=out)
    report = json.loads(out.getvalue())
    assert report["well"] is False
    (web,) = [finding for finding in report["findings"] if finding["check"] == "web"]
    assert (web["level"], web["text"]) == ("wrong", "none is up")


@pytest.mark.local_only("the tests' PostgreSQL is not durable, which is wrong")
def test_doctor_waits_until_all_checks_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda _: operator_rows.process("all:1", "both"))
    call_command("doctor", "--wait", "5", stdout=StringIO())


@pytest.mark.usefixtures("up")
def test_a_process_with_another_secret_or_another_code_is_named() -> None:
    other = {"SECRET_KEY": "x", "workflows": "y"}  # an older one, which does not say its code
    operator_rows.process("other:1", "web", settings=other)
    processes.record(Transaction(), ProcessReport(Process.Kind.WEB))
    assert run_check("agreement") == [
        "wrong: SECRET_KEY is another one at other:1 than here",
        "wrong: workflows is another one at other:1 than here",
        "wrong: code is another one at other:1 than here",
    ]


@pytest.mark.local_only("one that answers has the database to itself")
@pytest.mark.usefixtures("up")
def test_a_process_that_another_has_replaced_has_ended() -> None:
    """A container has another name each time."""
    operator_rows.process("elsewhere:1", "all", silent=60)
    assert run_check("silent") == ["warning: elsewhere:1 ended without a report"]


@cluster_only
@pytest.mark.usefixtures("up")
def test_a_silent_process_is_an_error() -> None:
    """Frozen, or on a machine that nobody can look at from here."""
    frozen = f"{socket.gethostname()}:{os.getpid()}"
    operator_rows.process("elsewhere:1", "web", silent=60)
    operator_rows.process(frozen, "web", silent=60)
    elsewhere, here = sorted(run_check("silent"))
    assert elsewhere.startswith("wrong: elsewhere:1 has been silent")
    assert here.startswith(f"wrong: {frozen} has been silent")


@cluster_only
def test_a_database_that_may_lose_commits_is_wrong() -> None:
    [line] = run_check("durability")  # the tests' PostgreSQL does
    assert "fsync=off, full_page_writes=off, synchronous_commit=off" in line


@pytest.mark.local_only("PostgreSQL has other settings")
def test_a_file_that_may_lose_commits_is_wrong() -> None:
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA synchronous = NORMAL")
    [line] = run_check("durability")
    connection.close()  # the next one is set up as usual
    assert line == "wrong: journal_mode=wal, synchronous=1: a commit may be lost"


@cluster_only
@pytest.mark.parametrize(("hours", "place"), [(-1, "behind"), (1, "ahead of")])
def test_a_clock_far_from_the_databases_is_wrong(hours: int, place: str) -> None:
    with time_machine.travel(timezone.now() + timedelta(hours=hours), tick=True):
        [line] = run_check("clock")
    assert re.fullmatch(rf"wrong: 3[56]\d\d\.\d+ s {place} the database's", line)


@pytest.mark.usefixtures("up")
def test_a_process_killed_on_this_host_is_only_a_warning() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    name = f"{socket.gethostname()}:{process.pid}"
    operator_rows.process(name, "web", silent=60)
    assert run_check("silent") == [f"warning: {name} ended without a report"]


@pytest.mark.formless
@pytest.mark.parametrize(
    ("bound", "level"), [("LOW", WARNING), ("SHARE", WARNING), ("FULL", ERROR)]
)
def test_a_nearly_full_disk_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bound: str, level: int
) -> None:
    size = 1024**2
    assert isinstance(disk.check_free_space(tmp_path, size), Info)
    monkeypatch.setattr(disk, bound, 1024**6)
    finding = disk.check_free_space(tmp_path, size)
    assert (finding.level, "a database of 1 MiB" in finding.msg) == (level, True)


def test_the_disk_of_a_database_on_this_machine_is_looked_at() -> None:
    (line,) = run_check("disk")
    assert "free beside a database of" in line


@cluster_only
def test_an_invisible_disk_is_a_warning() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET ROLE pg_signal_backend")  # one that may not see where the data is
        (line,) = run_check("disk")
        cursor.execute("RESET ROLE")
    assert line.startswith("warning: the database has ")
    assert line.endswith("the free space of its disk is not visible from here")


@cluster_only
def test_maintenance_that_failed_and_works_again_is_no_news() -> None:
    now = int(time.time())
    operator_rows.maintenance_job(queue.MAINTAIN, "failed", at=now - 60)
    operator_rows.store_deferral(queue.MAINTAIN, at=now)
    operator_rows.maintenance_job(queue.CLEAN, "failed", at=now - 60)
    operator_rows.store_deferral(queue.CLEAN, at=now - 60)
    assert [line for line in run_check("jobs") if "failed" in line] == [
        "warning: maintenance: 1 failed"
    ]


@pytest.mark.usefixtures("up")
def test_work_that_nobody_would_do_is_found() -> None:
    forgotten = operator_rows.run("running", at=MINUTE_AGO)
    operator_rows.run("waiting", at=MINUTE_AGO)  # for a person
    operator_rows.run("running")  # a moment ago: its news is on its way
    hosted = operator_rows.run("running", at=MINUTE_AGO)
    if CLUSTER:
        operator_rows.job(hosted.key, "doing")
    else:
        lease_fields = {"worker": "all:1", "started_at": MINUTE_AGO, "last_activity": MINUTE_AGO}
        HostLease.objects.create(key=hosted.key, workflow="probe", **lease_fields)
        lease_fields["released_at"] = MINUTE_AGO
        HostLease.objects.create(key=forgotten.key, workflow="probe", **lease_fields)
    assert run_check("forgotten") == [f"wrong: work without a host, by key (1): {forgotten.key}"]


def test_suspended_runs_are_counted() -> None:
    operator_rows.run("suspended")
    assert run_check("runs") == ["warning: suspended: 1"]


def test_unsafe_settings_of_a_public_site_are_reported(settings: Any) -> None:
    settings.DEBUG = True
    settings.ALLOWED_HOSTS = ["chat.example.org"]
    lines = run_check("settings")
    assert "wrong: DEBUG is on: errors show the code to everybody" in lines
    assert "warning: cookies go over plain HTTP" in lines


def test_a_workflow_that_nobody_may_use_is_reported() -> None:
    limited = {"groups": ["managers", "nobody"], "permission": "shop.buy"}
    config = {"default": "calculator", "workflows": {"calculator": limited}}
    Group.objects.create(name="managers")
    registry.offer(RuntimeConfig.model_validate(config))
    try:
        lines = run_check("workflows")
    finally:
        registry.offer_configured()
    assert lines[1:] == [
        "wrong: calculator is for the group 'nobody': no such group",
        "wrong: calculator is for shop.buy: no such permission",
    ]


def test_no_secret_is_printed(settings: Any) -> None:
    """The secret is as it is written in a URL, or as the server reads it there."""
    set_hitl(settings, REDIS_URL="redis://:hu%40sh@127.0.0.1:1/0")

    def tell() -> Findings:
        raise ValueError(f"{settings.SECRET_KEY} is the key, hu%40sh or hu@sh the password")

    (line,) = examine([Check(1, "tell", tell)])
    assert "ValueError: *** is the key, *** or *** the password" in line.msg


def test_overlapping_secrets_are_masked_completely(settings: Any) -> None:
    set_hitl(settings, REDIS_URL="redis://:hush@127.0.0.1:1/0")
    settings.SECRET_KEY = "hush-and-more"
    error = Error("hush and hush-and-more", hint="Not hush.")
    (line,) = examine([Check(1, "tell", lambda: iter([error]))])
    assert (line.msg, line.hint) == ("*** and ***", "Not ***.")


def test_checks_that_need_a_failed_check_are_skipped() -> None:
    checks = [
        Check(1, "first", lambda: iter([Error("it is down", "Start it.")])),
        Check(2, "second", lambda: iter([Info("never asked")]), needs="first"),
        Check(3, "third", lambda: iter([Info("never asked")]), needs="second"),
    ]
    texts = [line.msg for line in examine(checks)]
    assert texts == ["it is down", "skipped until the rest is fixed: second, third"]


@pytest.mark.formless
def test_a_network_disk_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(f"/dev/a / ext4 rw 0 0\nserver:/x {tmp_path} nfs4 rw 0 0\n")
    monkeypatch.setattr(disk, "MOUNTS", mounts)
    assert disk.kind_of_disk(tmp_path / "data") == "nfs4"
    assert disk.kind_of_disk(Path("/")) == "ext4"


@cluster_only
def test_a_queue_without_a_worker_is_found() -> None:
    operator_rows.process("worker:1", "worker", job_worker=operator_rows.taker(), queues=["heavy"])
    (line,) = run_check("queues")
    assert line.startswith("wrong: no worker takes default: ")


@cluster_only
def test_a_worker_counts_by_its_heartbeats() -> None:
    dead = operator_rows.taker(silent=60)
    operator_rows.process("worker:1", "worker", job_worker=dead)
    operator_rows.job("conversation:x:probe", "doing", by=dead)
    assert run_check("workers") == ["wrong: none is up: runs do not continue"]
    (line,) = run_check("jobs")
    assert line.startswith("wrong: default: 0 queued, 1 running, 1 stalled")


@pytest.mark.local_only("in the cluster work is announced")
def test_the_server_is_asked_for_its_health_by_a_host_that_is_allowed(settings: Any) -> None:
    """A proxy stands before it: nobody comes by the address at which it listens."""

    class Site(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.headers["Host"] == "chat.example.org" else 400)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    settings.ALLOWED_HOSTS = ["chat.example.org"]
    with HTTPServer(("127.0.0.1", 0), Site) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        set_hitl(settings, HEALTH_URL=f"http://127.0.0.1:{server.server_port}/health")
        (line,) = examine([Check(1, "page", deployment._page)])
    assert (line.level, line.msg.rpartition("/")[2]) == (INFO, "health is well")


@pytest.mark.slow
def test_work_gets_through_from_end_to_end(server: Server) -> None:
    """The check works from a program beside the server, too, and leaves nothing."""
    process = run("manage.py", "doctor", "--end-to-end", "--json", env=server.environment)
    findings = json.loads(process.stdout)["findings"]
    (line,) = [finding for finding in findings if finding["check"] == "end to end"]
    assert line["level"] == "ok", findings
    assert server.rows("SELECT * FROM sessions_app_hostlease") == []


@pytest.mark.slow
@cluster_only
async def test_a_worker_that_is_full_of_waiting_runs_takes_new_work(new_server: NewServer) -> None:
    server = new_server(worker_options=("--concurrency", "2"), PARK_AFTER="3600")
    for name in "abc":
        async with WsClient(server, name, workflow="probe") as client:
            await client.message_until_prompt("ask()")
    process = run("manage.py", "doctor", "--end-to-end", "--json", env=server.environment)
    by_check = {line["check"]: line for line in json.loads(process.stdout)["findings"]}
    assert by_check["end to end"]["level"] == "ok", process.stdout
    assert "of 2" in by_check["workers"]["text"]

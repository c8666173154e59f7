"""The host of workflows under test, in the event loop of a test, with the test's database."""

import asyncio
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, Protocol, Self
from uuid import uuid4

import time_machine
from asgiref.sync import sync_to_async
from django.contrib.auth import get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.core.files.base import ContentFile
from django.db import connection, connections
from django.db.models import Min, Q
from django.utils.module_loading import import_string

from sessions_app.contrib.testing.hosted_run import Answer, HostedRun
from sessions_app.contrib.testing.polling import POLL_TIMEOUT, until, until_true
from sessions_app.conversations import messages
from sessions_app.hosting.dispatch.dispatcher import Dispatcher, Duty
from sessions_app.hosting.dispatch.local import LocalDispatcher
from sessions_app.hosting.host_registry import HostRegistry
from sessions_app.hosting.needing_host import runs_needing_host
from sessions_app.json_types import JsonObject
from sessions_app.lifecycle.due import settle_due
from sessions_app.models import Interaction, Run
from sessions_app.models.people import Person, users
from sessions_app.notify.announce import install
from sessions_app.questions.question_view import QuestionView
from sessions_app.settings import RuntimeSettings
from sessions_app.storage import attachments, caller_thread, reads
from sessions_app.storage.writer import writer
from sessions_app.workflows import registry
from sessions_app.workflows.config import RuntimeConfig

# Maximum seconds that running steps may take to finish at a graceful stop.
DRAIN = 10.0


class HostingDispatcher(Dispatcher, Protocol):
    """The protocol of a dispatcher whose hosts are in this process."""

    hosts: HostRegistry


class Hosting:
    """`async with Hosting("vacation") as hosting:` offers and hosts the workflow.

    Each run is parked (taken out of memory) as soon as it waits, and replayed to resume. With
    cluster settings, the host is a worker that acquires keys from the queue.

    Args:
        workflow: the workflow's name; `config` are the settings as in `workflows.yaml`, such as
            `options`.
        user: the sender and answerer; by default a user `ann`.
        beside: other workflows to offer.
        park_after: seconds that a waiting run stays in memory.
        replay_everywhere: also park and replay each run after each step, and once more before the
            end, so that a single run shows whether the code is deterministic.
        patience: timeout in seconds for a run to become idle.
    """

    def __init__(
        self,
        workflow: str,
        *,
        user: AbstractBaseUser | None = None,
        beside: tuple[str, ...] = (),
        park_after: float = 0,
        replay_everywhere: bool = False,
        patience: float = POLL_TIMEOUT,
        **config: object,
    ) -> None:
        self.workflow = workflow
        self.person = Person.of(user) if user is not None else Person(0, "")
        self._beside = beside
        self._park_after = park_after
        self._replay_everywhere = replay_everywhere
        self._patience = patience
        self._config = config
        self._dispatcher: HostingDispatcher | None = None
        self._clock = Clock()

    async def __aenter__(self) -> Self:
        await caller_thread.begin(_check_database)
        caller_thread.begin_runtime()
        if not self.person.id:
            self.person = Person.of(await reads.read(make_user, "ann"))
        self.offer(**self._config)
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            await self.stop()
            await asyncio.to_thread(writer.stop)
            await asyncio.to_thread(reads.close_connections)
            await sync_to_async(connections.close_all)()
        finally:
            self._clock.stop()
            caller_thread.end_runtime()
            registry.offer_configured()

    def offer(self, **config: object) -> None:
        """Offer the workflow with a new configuration, which replaces the previous one."""
        workflows: JsonObject = {name: {} for name in self._beside}
        entry = {"workflows": {**workflows, self.workflow: config}, "default": self.workflow}
        registry.offer(RuntimeConfig.model_validate(entry))

    async def send(
        self,
        text: str,
        *,
        workflow: str | None = None,
        conversation: str = "c",
        files: Mapping[str, bytes] | None = None,
    ) -> HostedRun:
        """Send a message with `files` to this workflow or the named one; return the run."""
        uploads = [
            await attachments.keep(
                owner=self.person.id, conversation_id=conversation, file=ContentFile(content, name)
            )
            for name, content in (files or {}).items()
        ]
        ids = tuple(str(file.pk) for file in uploads)
        message = messages.IncomingMessage(uuid4().hex, text, workflow=workflow, files=ids)
        submission = await messages.submit(
            owner=self.person.id, conversation_id=conversation, message=message
        )
        return HostedRun(submission.run, self.person, self._patience)

    async def converse(
        self,
        text: str,
        script: Mapping[str, Answer] | None = None,
        *,
        by: AbstractBaseUser | None = None,
    ) -> str:
        """Send a message, answer all prompts, and return the output.

        `script` and `by` are as in `HostedRun.answer_all`.

        Raises:
            AssertionError: a prompt has no answer in the script, or the run does not complete.
        """
        run = await self.send(text)
        await run.answer_all(script or {}, by=by)
        return await run.result()

    async def restart(self) -> None:
        """Stop hosting gracefully, as a deploy does, and start again."""
        await self.stop()
        await self.start()

    async def crash(self) -> None:
        """Simulate a crash and a new start: memory is lost, and no host releases its lease.

        Writes handed to the database before the crash are stored, later ones are not. Unlike with
        SIGKILL, `finally` blocks of the workflow run, steps in threads finish (their results are
        ignored), and module globals survive.
        """
        hosts = self.hosts
        hosts.stopping = True
        for host in hosts:
            host.abandon()
        await self.stop()
        await self.start()

    async def advance(self, **time: float) -> None:
        """Move the clock forward: `advance(days=3)`, with the arguments of `timedelta`.

        All timers until then fire in order, each at its own time: a run that sleeps a day, then
        asks with a deadline of a day, is woken, asks, and expires.

        Raises:
            AssertionError: a due item cannot be settled; the message has the item.
        """
        await self.rest()
        end, last_due = datetime.now(UTC) + timedelta(**time), None
        while (due := await reads.read(_next_due)) is not None and due <= end:
            if due == last_due:
                raise AssertionError(await reads.read(_describe_due, due))
            last_due = due
            self._clock.move_to(due + timedelta(milliseconds=1))
            await settle_due()
            await self.rest()
        self._clock.move_to(end)

    async def rest(self) -> None:
        """Wait until all runs are idle or ended, and out of memory."""
        for host in self.hosts:
            host.evict_waiting_runs()
        await until(lambda: not runs_needing_host().exists(), self._patience)
        await until_true(lambda: not any(host.runs for host in self.hosts), self._patience)

    @property
    def hosts(self) -> HostRegistry:
        """The hosts of the started dispatcher."""
        if self._dispatcher is None:
            raise AssertionError("the hosting is stopped")
        return self._dispatcher.hosts

    async def start(self) -> None:
        """Start hosting, and resume unfinished runs."""
        self._dispatcher = self._new_dispatcher()
        install(self._dispatcher)
        await self._dispatcher.start()

    async def stop(self) -> None:
        """Stop hosting gracefully."""
        if self._dispatcher is not None:
            await self._dispatcher.stop()
            self._dispatcher = None
        install(None)

    def _new_dispatcher(self) -> HostingDispatcher:
        options: JsonObject = {
            "park_after": self._park_after,
            "replay_everywhere": self._replay_everywhere,
        }
        if not RuntimeSettings.load().cluster:
            return LocalDispatcher(**options)
        # Import late: the worker needs Procrastinate, which only clusters install.
        worker = import_string("sessions_app.hosting.dispatch.worker.WorkerDispatcher")
        dispatcher: HostingDispatcher = worker(Duty(drain=DRAIN), **options)
        return dispatcher


class Clock:
    """The wall clock of the process, which a test can move; afterwards it keeps ticking.

    The monotonic clock, and so the timers of the event loop, are not affected.
    """

    def __init__(self) -> None:
        self._travel: time_machine.travel | None = None
        self._moved: time_machine.Traveller | None = None

    def move_to(self, moment: datetime) -> None:
        """Move the clock forward to a time; ignore an earlier time."""
        if moment <= datetime.now(UTC):
            return
        if self._moved is None:
            self._travel = time_machine.travel(moment, tick=True)
            self._moved = self._travel.start()
        else:
            self._moved.move_to(moment)

    def stop(self) -> None:
        """Restore the real clock."""
        if self._travel is not None:
            self._travel.stop()
        self._travel = self._moved = None


# The type of the fixture `host_workflow`, for annotations in tests.
NewHosting = Callable[..., Hosting]


def make_user(username: str) -> Any:
    """Return the user with this name, created if missing."""
    lookup: JsonObject = {get_user_model().USERNAME_FIELD: username}
    return users().get_or_create(**lookup)[0]


def _next_due() -> datetime | None:
    """Return the next time at which a run resumes, or a question expires or escalates."""
    pending = Interaction.objects.filter(status=Interaction.Status.PENDING)
    moments = (
        *pending.aggregate(Min("expires_at"), Min("escalates_at")).values(),
        Run.objects.filter(status=Run.Status.WAITING).aggregate(at=Min("wake_at"))["at"],
    )
    return min((at for at in moments if at is not None), default=None)


def _describe_due(moment: datetime) -> str:
    """Describe, for an error message, the items that were due at a time and were not settled."""
    pending = Interaction.objects.filter(status=Interaction.Status.PENDING)
    rows = pending.filter(Q(expires_at=moment) | Q(escalates_at=moment))
    texts = [repr(question.text) for question in QuestionView.of_all(rows)]
    subject = ", ".join(texts) or "a run that sleeps"
    return f"{subject} falls due at {moment}, and cannot be settled: the log says why"


def _check_database() -> None:
    """Refuse a database in memory, and a test's transaction: threads with own connections work."""
    name = str(connection.settings_dict["NAME"])
    if connection.vendor == "sqlite" and ("mode=memory" in name or ":memory:" in name):
        raise AssertionError(
            "the test database is in memory, where threads cannot share it; give it a file: "
            'DATABASES["default"]["TEST"] = {"NAME": BASE_DIR / "test.sqlite3"}'
        )
    if connection.in_atomic_block:
        raise AssertionError(
            "a hosted workflow works in other threads, which do not see the transaction of a "
            "TestCase; use TransactionTestCase, or django_db(transaction=True)"
        )

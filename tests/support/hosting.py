"""The runtime without a server: hosts in the test's event loop over the real database.

In the form of many processes that loop is a worker's, which takes its keys from the queue.
"""

import asyncio
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any
from uuid import UUID, uuid4

from django.contrib.auth import get_user_model

from sessions_app.conversations import answers, messages
from sessions_app.hosting.dispatch.local import LocalDispatcher
from sessions_app.hosting.host_registry import HostRegistry
from sessions_app.models import Conversation, Event, Interaction, JournalEntry, Run
from sessions_app.models.people import Person
from sessions_app.notify.announce import announce, install
from sessions_app.operations.due import settle_due
from sessions_app.operations.reports import Metrics
from sessions_app.storage import reads
from sessions_app.storage.event_log import read
from sessions_app.storage.records import EventRecord
from sessions_app.storage.writer import writer
from sessions_app.workflows import registry
from sessions_app.workflows.config import RuntimeConfig
from tests.support.running_form import CLUSTER

if CLUSTER:
    # It imports Procrastinate, which only the form of many processes installs as an application.
    from sessions_app.hosting.dispatch.dispatcher import Duty
    from sessions_app.hosting.dispatch.worker import WorkerDispatcher

DRAIN = 10.0  # seconds


class Hosting:
    """`async with Hosting("name of a workflow") as hosting:`; `restart()` is a stop and a start."""

    def __init__(self, workflow: str, *, park_after: float = 60, **config: Any) -> None:
        self.workflow = workflow
        self.park_after = park_after
        self._config = config
        self._dispatcher: LocalDispatcher | WorkerDispatcher | None = None
        self.user = 0

    async def __aenter__(self) -> "Hosting":
        """Offer the one workflow and start hosting."""
        self.user = (await reads.read(make_user, "ann")).pk
        self.offer(**self._config)
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop hosting, with all that is written, and offer what the project offers."""
        await self.stop()
        await asyncio.to_thread(writer.stop)
        registry.offer_configured()

    @property
    def hosts(self) -> HostRegistry:
        """The hosts, while it is started."""
        assert self._dispatcher is not None
        return self._dispatcher.hosts

    def hosted(self) -> list[str]:
        """The keys that have a host now."""
        return [host.key for host in self.hosts]

    def builders(self) -> Metrics:
        """The metrics of live per-user builders, by key."""
        return self.hosts.builders()

    async def announce(self, key: str) -> None:
        """Say that there is work for the key."""
        await writer.write(lambda tx: announce(tx, key))

    @property
    def person(self) -> Person:
        """The user who answers."""
        return Person(self.user, "ann")

    def offer(self, **config: Any) -> None:
        """Offer the workflow with this configuration."""
        entry = {"workflows": {self.workflow: config}, "default": self.workflow}
        registry.offer(RuntimeConfig.model_validate(entry))

    async def start(self) -> None:
        """Start a dispatcher; it takes up what is unfinished."""
        self._dispatcher = self._new_dispatcher()
        install(self._dispatcher)
        await self._dispatcher.start()

    def _new_dispatcher(self) -> "LocalDispatcher | WorkerDispatcher":
        if CLUSTER:
            return WorkerDispatcher(Duty(drain=DRAIN), park_after=self.park_after)
        return LocalDispatcher(park_after=self.park_after)

    async def stop(self) -> None:
        """Stop in good order."""
        if self._dispatcher is not None:
            await self._dispatcher.stop()
            self._dispatcher = None
        install(None)

    async def restart(self) -> None:
        """Stop and start."""
        await self.stop()
        await self.start()

    async def submit(self, text: str = "go", *, conversation: str = "c", **fields: Any) -> UUID:
        """Send a user message; return the run."""
        message = messages.IncomingMessage(fields.pop("message_id", uuid4().hex), text, **fields)
        submitted = await messages.submit(
            owner=self.user, conversation_id=conversation, message=message
        )
        return submitted.run

    async def answer(
        self, value: str | None, interaction: Interaction | None = None, **fields: Any
    ) -> answers.AnswerResult:
        """Answer as the user; without an interaction the only pending one of conversation "c"."""
        given = answers.IncomingAnswer(
            fields.pop("answer_id", uuid4().hex),
            "test",
            value,
            interaction=str(interaction.id) if interaction else None,
            **fields,
        )
        return await answers.answer(by=self.person, conversation_id="c", answer=given)

    async def answer_any(self, value: str, interaction: Interaction) -> answers.AnswerResult:
        """Answer a question of whatever conversation."""
        given = answers.IncomingAnswer(uuid4().hex, "test", value, interaction=str(interaction.id))
        return await answers.answer(by=self.person, conversation_id=None, answer=given)

    async def in_thread(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call what an operator calls."""
        return await asyncio.to_thread(function, *args, **kwargs)

    async def status(self, run: UUID, *wanted: str) -> Run:
        """Wait until the run has one of the statuses."""
        found: Run = await until(lambda: Run.objects.filter(pk=run, status__in=wanted).first())
        return found

    async def ended(self, run: UUID) -> Run:
        """Wait until the run is over or suspended."""
        return await self.status(run, *Run.FINISHED, Run.Status.SUSPENDED)

    async def prompts(self, run: UUID, count: int = 1) -> list[Interaction]:
        """Wait until so many prompts of the run are pending; in the order of asking."""

        def pending() -> list[Interaction] | None:
            rows = list(Interaction.objects.filter(run=run, status="pending").order_by("position"))
            return rows if len(rows) == count else None

        found: list[Interaction] = await until(pending)
        return found

    async def asked(self, run: UUID) -> int:
        """How many prompts the run has asked so far."""
        return await reads.read(lambda: Interaction.objects.filter(run=run).count())

    async def output(self, run: UUID) -> str:
        """The run's text, as a reader of the log puts it together."""
        return await reads.read(output, run)

    async def events(self, conversation: str = "c") -> list[EventRecord]:
        """The conversation's whole log."""

        def rows() -> list[EventRecord]:
            one = Conversation.objects.get(owner_id=self.user, conversation_id=conversation)
            return read(one.id, after=0, limit=100_000)

        return await reads.read(rows)

    async def journal(self, run: UUID) -> list[JournalEntry]:
        """The run's journal in order."""
        return await reads.read(
            lambda: list(JournalEntry.objects.filter(run=run).order_by("position"))
        )

    async def without_hosts(self) -> None:
        """Wait until no host is left."""
        await until_true(lambda: not self.hosted())

    async def settle_due(self) -> None:
        """What the maintenance loop does each second."""
        await settle_due()


def problem(run: Run) -> dict[str, str]:
    """The error that the run ended with."""
    assert run.error is not None
    error: dict[str, str] = run.error
    return error


def make_user(username: str) -> Any:
    """Make or find a user."""
    return get_user_model().objects.get_or_create(username=username)[0]


def output(run: UUID) -> str:
    """What the run has said, less what it took back by a restart."""
    pieces: list[tuple[int, str]] = []
    for event in Event.objects.filter(run=run).order_by("sequence"):
        if event.type == Event.Type.RESTART:
            start = event.payload["from_sequence"]
            pieces = [piece for piece in pieces if piece[0] < start]
        elif event.type in (Event.Type.TEXT, Event.Type.MESSAGE):
            pieces.append((event.first_sequence, event.payload["text"]))
    return "".join(text for _, text in pieces)


async def until_true(condition: Callable[[], Any], timeout: float = 10) -> Any:
    """Try in the loop until what comes is true; return it."""
    deadline = time.monotonic() + timeout
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not true in {timeout} s"
        await asyncio.sleep(0.005)
    return found


async def until(look: Callable[[], Any], timeout: float = 10) -> Any:
    """Look at the database until what is found is true; return it."""
    deadline = time.monotonic() + timeout
    while not (found := await reads.read(look)):
        assert time.monotonic() < deadline, f"nothing in {timeout} s"
        await asyncio.sleep(0.005)
    return found

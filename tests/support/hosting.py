"""The runtime without a server: hosts in the test's event loop over the real database.

In the form of many processes that loop is a worker's, which takes its keys from the queue.
"""

import asyncio
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any
from uuid import UUID, uuid4

from django.conf import settings
from django.contrib.auth import get_user_model

from sessions_app import answers, conversations, database
from sessions_app.config import RuntimeConfig
from sessions_app.dispatch.base import dispatcher, install
from sessions_app.dispatch.hosts import Hosts
from sessions_app.dispatch.local import LocalDispatcher
from sessions_app.event_log import EventRecord, read, writer
from sessions_app.maintenance import settle_due
from sessions_app.models import Conversation, Event, Interaction, JournalEntry, Run
from sessions_app.people import Person
from sessions_app.workflows import registry
from tests.support.forms import CLUSTER

if CLUSTER:
    # It imports Procrastinate, which only the form of many processes installs as an application.
    from sessions_app.dispatch.base import Duty
    from sessions_app.dispatch.worker import WorkerDispatcher

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
        self.user = (await database.read(make_user, "ann")).pk
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
        registry.offer(RuntimeConfig.load(settings.WORKFLOWS_FILE, extra=settings.EXTRA_WORKFLOWS))

    @property
    def hosts(self) -> Hosts:
        """The hosts, while it is started."""
        assert self._dispatcher is not None
        return self._dispatcher.hosts

    def hosted(self) -> list[str]:
        """The keys that have a host now."""
        return [host.key for host in self.hosts]

    async def announce(self, key: str) -> None:
        """Say that there is work for the key."""
        await writer.write(lambda tx: dispatcher().announce(tx, key))

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
        message = conversations.Message(fields.pop("message_id", uuid4().hex), text, **fields)
        submitted = await conversations.submit(
            owner=self.user, conversation_id=conversation, message=message
        )
        return submitted.run

    async def answer(
        self, value: str | None, interaction: Interaction | None = None, **fields: Any
    ) -> answers.Settled:
        """Answer as the user; without an interaction the only pending one of conversation "c"."""
        given = answers.Answer(
            fields.pop("answer_id", uuid4().hex),
            value,
            interaction=str(interaction.id) if interaction else None,
            **fields,
        )
        return await answers.answer(by=self.person, conversation_id="c", answer=given)

    async def answer_any(self, value: str, interaction: Interaction) -> answers.Settled:
        """Answer a question of whatever conversation."""
        given = answers.Answer(uuid4().hex, value, interaction=str(interaction.id))
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
        return await database.read(lambda: Interaction.objects.filter(run=run).count())

    async def output(self, run: UUID) -> str:
        """The run's text, as a reader of the log puts it together."""
        return await database.read(output, run)

    async def events(self, conversation: str = "c") -> list[EventRecord]:
        """The conversation's whole log."""

        def rows() -> list[EventRecord]:
            one = Conversation.objects.get(owner_id=self.user, conversation_id=conversation)
            return read(one.id, after=0, limit=100_000)

        return await database.read(rows)

    async def journal(self, run: UUID) -> list[JournalEntry]:
        """The run's journal in order."""
        return await database.read(
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
    while not (found := await database.read(look)):
        assert time.monotonic() < deadline, f"nothing in {timeout} s"
        await asyncio.sleep(0.005)
    return found

"""The public test kit, extended for this project's own tests: rows, keys and hosts.

In the form of many processes, the test's event loop acts as a worker, which acquires its keys from
the queue.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any
from uuid import UUID, uuid4

from django.contrib.auth.models import Group, User

from sessions_app.contrib.testing import hosting
from sessions_app.contrib.testing.hosted_run import HostedRun
from sessions_app.contrib.testing.hosting import make_user
from sessions_app.contrib.testing.polling import until, until_true
from sessions_app.conversations import messages
from sessions_app.interactions import answers
from sessions_app.lifecycle.due import settle_due
from sessions_app.lifecycle.processes import Metrics
from sessions_app.models import Conversation, Event, Interaction, JournalEntry, Run
from sessions_app.models.people import Person
from sessions_app.notify.announce import announce
from sessions_app.prompts import JsonAnswer, TextAnswer
from sessions_app.storage import reads
from sessions_app.storage.records import EventRecord, read
from sessions_app.storage.writer import writer

__all__ = [
    "Hosting",
    "asking",
    "django_user",
    "make_members",
    "make_user",
    "output",
    "problem",
    "running",
    "until",
    "until_true",
]

# Type of fixtures that host a workflow and send a message; each yields the hosting and the run.
SentTo = Callable[..., AbstractAsyncContextManager[tuple[hosting.Hosting, HostedRun]]]


class Hosting(hosting.Hosting):
    """A host of runs: `async with Hosting("workflow") as hosting:`. Runs park after a minute."""

    def __init__(self, workflow: str, *, park_after: float = 60, **config: Any) -> None:
        super().__init__(workflow, park_after=park_after, **config)

    @property
    def user(self) -> Any:
        """Return the primary key of the user who sends and answers."""
        return self.person.id

    def hosted(self) -> list[str]:
        return [host.key for host in self.hosts]

    def builders(self) -> Metrics:
        """Return the metrics of live per-user builders, by key."""
        return self.hosts.builders()

    async def announce(self, key: str) -> None:
        await writer.write(lambda tx: announce(tx, key))

    async def submit(self, text: str = "go", *, conversation: str = "c", **fields: Any) -> UUID:
        message = messages.IncomingMessage(fields.pop("message_id", uuid4().hex), text, **fields)
        submitted = await messages.submit(
            owner=self.user, conversation_id=conversation, message=message
        )
        return submitted.run

    async def answer(
        self, value: str | list[str], interaction: Interaction | None = None, **fields: Any
    ) -> answers.AnswerResult:
        """Answer as the user; by default, answer the only pending prompt of conversation "c"."""
        answer = answers.IncomingAnswer(
            fields.pop("answer_id", uuid4().hex),
            "test",
            JsonAnswer.of(value),
            interaction=str(interaction.id) if interaction else None,
            **fields,
        )
        return await answers.answer(by=self.person, conversation_id="c", answer=answer)

    async def answer_any(self, value: str, interaction: Interaction) -> answers.AnswerResult:
        """Answer a question of any conversation."""
        answer = answers.IncomingAnswer(
            uuid4().hex, "test", TextAnswer(value), interaction=str(interaction.id)
        )
        return await answers.answer(by=self.person, conversation_id=None, answer=answer)

    async def in_thread(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call a function in a thread, as an operator's command does."""
        return await asyncio.to_thread(function, *args, **kwargs)

    async def until_status(self, run: UUID, *wanted: str) -> Run:
        """Wait until the run has one of the statuses."""
        row: Run = await until(lambda: Run.objects.filter(pk=run, status__in=wanted).first())
        return row

    async def until_ended(self, run: UUID) -> Run:
        return await self.until_status(run, *Run.FINISHED, Run.Status.SUSPENDED)

    async def prompts(self, run: UUID, count: int = 1) -> list[Interaction]:
        """Wait until so many prompts of the run are pending; return them in the order of asking."""

        def pending() -> list[Interaction] | None:
            rows = list(Interaction.objects.filter(run=run, status="pending").order_by("position"))
            return rows if len(rows) == count else None

        interactions: list[Interaction] = await until(pending)
        return interactions

    async def submit_until_prompt(
        self, text: str = "go", **fields: Any
    ) -> tuple[UUID, Interaction]:
        """Send a message; return its run and the only prompt of the run."""
        run = await self.submit(text, **fields)
        [prompt] = await self.prompts(run)
        return run, prompt

    async def result(self, run: UUID) -> str:
        """Wait until the run has completed; return its text."""
        row = await self.until_ended(run)
        assert row.status == Run.Status.COMPLETED, row.error
        return await self.output(run)

    async def complete(
        self, run: UUID, value: str, prompt: Interaction | None = None, *, restart: bool = False
    ) -> str:
        """Answer as `answer` does, after a restart if `restart`; return the completed text."""
        if restart:
            await self.restart()
        await self.answer(value, prompt)
        return await self.result(run)

    async def reply_to(self, text: str = "go", **fields: Any) -> str:
        """Send a message; return the text of its run, once the run has completed."""
        return await self.result(await self.submit(text, **fields))

    async def count_prompts(self, run: UUID) -> int:
        return await reads.read(lambda: Interaction.objects.filter(run=run).count())

    async def output(self, run: UUID) -> str:
        """Return the run's text as a reader of the log composes it."""
        return await reads.read(output, run)

    async def events(self, conversation: str = "c") -> list[EventRecord]:
        def rows() -> list[EventRecord]:
            one = Conversation.objects.get(owner_id=self.user, conversation_id=conversation)
            return read(one.id, after=0, limit=100_000)

        return await reads.read(rows)

    async def journal(self, run: UUID) -> list[JournalEntry]:
        return await reads.read(
            lambda: list(JournalEntry.objects.filter(run=run).order_by("position"))
        )

    async def without_hosts(self) -> None:
        await until_true(lambda: not self.hosted())

    async def settle_due(self) -> None:
        """Do once the work that the maintenance loop does each second."""
        await settle_due()


def make_members(group: str, *names: str) -> list[Any]:
    """Create users of these names in the group."""
    users = [make_user(name) for name in names]
    Group.objects.get_or_create(name=group)[0].user_set.add(*users)
    return users


@asynccontextmanager
async def running(
    hosting: Hosting | str, text: str = "go", **fields: Any
) -> AsyncIterator[tuple[Hosting, UUID]]:
    """Host a workflow, and send a message; yield the hosting and the run."""
    async with Hosting(hosting) if isinstance(hosting, str) else hosting as hosted:
        yield hosted, await hosted.submit(text, **fields)


@asynccontextmanager
async def asking(
    hosting: Hosting | str, text: str = "go", **fields: Any
) -> AsyncIterator[tuple[Hosting, UUID, Interaction]]:
    """Host a workflow, and send a message; yield the hosting, the run and its only prompt."""
    async with running(hosting, text, **fields) as (hosted, run):
        [prompt] = await hosted.prompts(run)
        yield hosted, run, prompt


def problem(run: Run) -> dict[str, str]:
    """Return the error that the run ended with."""
    assert run.error is not None
    error: dict[str, str] = run.error
    return error


def output(run: UUID) -> str:
    """Return the run's output without the parts that a restart took back."""
    pieces: list[tuple[int, str]] = []
    for event in Event.objects.filter(run=run).order_by("sequence"):
        if event.type == Event.Type.RESTART:
            start = event.payload["from_sequence"]
            pieces = [piece for piece in pieces if piece[0] < start]
        elif event.type in (Event.Type.TEXT, Event.Type.MESSAGE):
            pieces.append((event.first_sequence, event.payload["text"]))
    return "".join(text for _, text in pieces)


def django_user(person: Person | str) -> User:
    """Return the Django user of a person or, for a name, an unsaved user."""
    if isinstance(person, str):
        return User(username=person)
    return User(pk=person.id, username=person.username, first_name=person.name)

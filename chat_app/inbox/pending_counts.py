"""The counts of waiting prompts, computed for many people together by the rules of `inbox`.

A few blocking statements serve everybody, with two more for each person if prompts wait for holders
of a permission. Counting stops at CAP.

One task per process sends counts to the sockets that ask, while such sockets exist. Any change
wakes the task, which queries the database a few times a second at most.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any, NamedTuple, Protocol
from uuid import UUID

from django.db.models import QuerySet

from chat_app.identity import Identity
from chat_app.inbox import inbox_query
from sessions_app.interactions.answerers import Name
from sessions_app.logs import Log
from sessions_app.models import Candidate, Conversation, Interaction, Vote
from sessions_app.models.interaction import CANDIDATE_ORDER
from sessions_app.models.people import UserId
from sessions_app.notify.groups import listen
from sessions_app.notify.news import PROMPTS
from sessions_app.prompts import seen_types
from sessions_app.storage import reads

log = Log(__name__)

CAP = 100
# One query reads up to FIRST_ROWS rows, plus ROWS_PER_NAME rows for each name (a person, group or
# permission). If more rows wait,
# a separate query for each name reads its first FIRST_ROWS rows.
ROWS_PER_NAME, FIRST_ROWS = 20, 3 * CAP
CANDIDATE_KINDS = ("own", "user", "group", "permission")
FACTS = ("assignee", "conversation__owner", "assignment__four_eyes", "assignment__votes", "name")

# Pace of the queries that update the counts of all sockets.
PACE = 0.3  # minimum seconds between two queries
PAUSE_FACTOR = 3  # minimum pause as a multiple of the last query's duration, to let other reads run
SAFETY = 9.0  # seconds after which the counts are read even if nothing has changed
PEOPLE_PER_QUERY = 1000  # maximum number of people in one query


class WaitingPrompts(NamedTuple):
    """The number of prompts that ask something of a person, up to CAP.

    `ids` are those of these prompts and of notifications; with CAP or more, `ids` is empty and
    `are_known` is False. `mark` changes with the set of ids.
    """

    prompts: int = 0
    mark: int = 0
    ids: frozenset[UUID] = frozenset()
    are_known: bool = True

    def gone_since(self, before: "WaitingPrompts | None") -> frozenset[UUID]:
        """Return the prompts that waited before and no longer do; empty if the ids are unknown."""
        return before.ids - self.ids if before and self.are_known else frozenset()


def count_waiting(people: Sequence[UserId]) -> dict[UserId, WaitingPrompts]:
    """Return each person's waiting prompts, without prompts that somebody else has claimed."""
    names = inbox_query.pending_names(people)
    prompts = _Prompts(set().union(*names.values()))
    voted_prompts = prompts.voted_prompts(people)
    counts = dict.fromkeys(people, WaitingPrompts())
    for person, person_names in names.items():
        ids = frozenset(prompts.answerable(person, person_names) - voted_prompts[person])
        count = len(ids - prompts.notes)
        if count < CAP and not prompts.cut.isdisjoint(person_names):
            ids = frozenset(inbox_query.first_prompts(inbox_query.waiting_prompts(person), CAP))
            asking = inbox_query.waiting_prompts(person, conditions=[inbox_query.asks()])
            count = len(inbox_query.first_prompts(asking, CAP))
        are_known = len(ids) < CAP
        shown_ids = ids if are_known else frozenset()
        counts[person] = WaitingPrompts(min(count, CAP), hash(ids), shown_ids, are_known)
    return counts


class WaitingParts(NamedTuple):
    """The waiting prompts of one person by inbox section, without mere notifications.

    `is_cut`: some prompts were not read.
    """

    all: set[UUID]
    mine: set[UUID]
    groups: set[UUID]
    claimed: set[UUID]
    is_cut: bool


def find_parts(person: UserId, names: set[Name]) -> WaitingParts:
    """Find the waiting prompts of a person with these names, by the same queries as a count."""
    prompts = _Prompts(names)
    not_counted = prompts.voted_prompts([person])[person] | prompts.notes
    direct_names = {name for name in names if name[0] in ("own", "user")}
    direct = prompts.answerable(person, direct_names) - not_counted
    others = prompts.answerable(person, names - direct_names) - not_counted
    claimed, own_claims = (
        prompts.claimed(person, names, by) - prompts.notes for by in (None, person)
    )
    return WaitingParts(
        all=direct | others,
        mine=direct | own_claims,
        groups=others - prompts.named(person),
        claimed=claimed,
        is_cut=not prompts.cut.isdisjoint(names),
    )


class _Prompts:
    """The waiting prompts as sets of ids, by the same rules as `inbox_query`.

    `cut`: names not read completely. `notes`: prompts that ask nothing.
    """

    def __init__(self, names: Collection[Name]) -> None:
        self.cut: set[Name] = set()
        self.notes: set[UUID] = set()
        note_types = seen_types()
        # The ids of open prompts by candidate name and claimant; the claimant None means unclaimed.
        self._open: dict[tuple[Name, UserId | None], set[UUID]] = defaultdict(set)
        self._barred: dict[UserId, set[UUID]] = defaultdict(set)
        self._several: set[UUID] = set()
        read = list(self._read(names))
        facts = _facts({prompt for _, prompt in read})
        for name, prompt in read:
            if prompt not in facts:  # skip: settled meanwhile, or conversation deleted
                continue
            assignee, owner, four_eyes, votes, type_ = facts[prompt]
            self._open[name, assignee].add(prompt)
            if type_ in note_types:
                self.notes.add(prompt)
            if four_eyes:
                self._barred[owner].add(prompt)
            if (votes or 1) > 1:
                self._several.add(prompt)

    def answerable(self, person: UserId, names: Iterable[Name]) -> set[UUID]:
        """Return the prompts that the person may answer, or has already voted on."""
        prompt_sets = (self._open.get((name, by), set()) for name in names for by in (None, person))
        return set().union(*prompt_sets) - self._barred.get(person, set())

    def claimed(self, person: UserId, names: Collection[Name], by: UserId | None) -> set[UUID]:
        """Return the claimed prompts that a person with these names may answer."""
        prompt_sets = (
            prompts
            for (name, assignee), prompts in self._open.items()
            if name in names and assignee is not None and by in (None, assignee)
        )
        return set().union(*prompt_sets) - self._barred.get(person, set())

    def named(self, person: UserId) -> set[UUID]:
        """Return the prompts that name the person."""
        prompt_sets = (
            prompts for (name, _), prompts in self._open.items() if name == ("user", person)
        )
        return set().union(*prompt_sets)

    def voted_prompts(self, people: Sequence[UserId]) -> dict[UserId, set[UUID]]:
        """Return the prompts that each person has voted on."""
        by_person: dict[UserId, set[UUID]] = defaultdict(set)
        if self._several:
            votes = Vote.objects.filter(interaction__in=self._several, by__in=people)
            for by, prompt in votes.values_list("by", "interaction"):
                by_person[by].add(prompt)
        return by_person

    def _read(self, names: Collection[Name]) -> Iterator[tuple[Name, UUID]]:
        for kind in CANDIDATE_KINDS:
            values = [value for name_kind, value in names if name_kind == kind]
            for value, prompt in self._read_kind(kind, values) if values else ():
                yield (kind, value), prompt

    def _read_kind(self, kind: str, values: list[Any]) -> list[tuple[Any, UUID]]:
        limit = FIRST_ROWS + ROWS_PER_NAME * len(values)
        rows = list(_rows(kind, values)[: limit + 1])
        if len(rows) <= limit:
            return rows
        order = (inbox_query.DUE, "created_at", "pk") if kind == "own" else CANDIDATE_ORDER
        rows = []
        for value in values:
            rows_of_value = list(_rows(kind, [value]).order_by(*order)[:FIRST_ROWS])
            if len(rows_of_value) == FIRST_ROWS:
                self.cut.add((kind, value))
            rows += rows_of_value
        return rows


def _rows(kind: str, values: list[Any]) -> QuerySet[Any, tuple[Any, UUID]]:
    if kind == "own":
        conversations = Conversation.objects.filter(
            owner__in=values, waiting__gt=0, deleted_at=None
        )
        interactions = Interaction.objects.filter(
            inbox_query.begins_card(),
            conversation__in=conversations,
            for_owner=True,
            status=Interaction.Status.PENDING,
        )
        return interactions.values_list("conversation__owner", "pk")
    conditions = {f"{kind}__in": values, **inbox_query.KIND_CONDITIONS.get(kind, {})}
    return Candidate.objects.filter(pending=True, **conditions).values_list(kind, "interaction")


def _facts(prompts: Collection[UUID]) -> dict[UUID, tuple[Any, ...]]:
    pending = Interaction.objects.filter(
        pk__in=prompts, status=Interaction.Status.PENDING, conversation__deleted_at=None
    )
    return {prompt: facts for prompt, *facts in pending.values_list("pk", *FACTS)}


class CountedSocket(Protocol):
    """A socket whose client asks for the count of the prompts that wait for the person."""

    waiting: WaitingPrompts | None

    @property
    def identity(self) -> Identity | None:
        """The identity of the person, once known."""

    def wake(self) -> None:
        """Tell the client, if `waiting` has changed."""


class WaitingCounts:
    """The keeper of the `waiting` counts of all sockets in this process."""

    def __init__(self) -> None:
        self._sockets: set[CountedSocket] = set()
        self._change = asyncio.Event()
        self._tasks: list[asyncio.Task[object]] = []

    def add(self, socket: CountedSocket) -> None:
        """Add a socket: from now on, it is told of changes of the count."""
        self._sockets.add(socket)
        if not self._tasks:
            self._change = asyncio.Event()
            create = asyncio.get_running_loop().create_task
            hear = listen(PROMPTS, lambda _: self._change.set())
            self._tasks = [create(hear), create(self._run(), name="waiting counts")]
        self._change.set()

    async def remove(self, socket: CountedSocket) -> None:
        """Remove a socket that has ended; stop counting if none is left."""
        self._sockets.discard(socket)
        if not self._sockets:
            tasks, self._tasks = self._tasks, []
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(SAFETY):
                    await self._change.wait()
            self._change.clear()
            began = time.monotonic()
            try:
                await self._update_counts()
            except Exception:  # log any error and continue: the next round counts again
                log.exception("waiting_counts.failed")
            await asyncio.sleep(max(PACE, PAUSE_FACTOR * (time.monotonic() - began)))

    async def _update_counts(self) -> None:
        sockets = [
            (socket, socket.identity.person.id) for socket in self._sockets if socket.identity
        ]
        counts = await reads.read(_count, list({owner for _, owner in sockets}))
        for socket, owner in sockets:
            if socket.waiting != (count := counts.get(owner, WaitingPrompts())):
                socket.waiting = count
                socket.wake()


def _count(people: list[UserId]) -> dict[UserId, WaitingPrompts]:
    counts: dict[UserId, WaitingPrompts] = {}
    for start in range(0, len(people), PEOPLE_PER_QUERY):
        counts |= count_waiting(people[start : start + PEOPLE_PER_QUERY])
    return counts


waiting_counts = WaitingCounts()

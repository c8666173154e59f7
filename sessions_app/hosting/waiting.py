"""The waits of a run in memory: answers, ends of sleeps, and its own steps."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sessions_app.models import Interaction
from sessions_app.storage.records import InteractionSettled
from sessions_app.workflows.backend import StoredResponse

Answers = dict[UUID, StoredResponse]


@dataclass(slots=True, eq=False)
class _Ask:
    """An `ask` that waits. `answers` is done once each interaction has its answer."""

    interactions: set[UUID]
    answers: asyncio.Future[Answers]


class RunWaits:
    """The state of a run's waits: it counts what is under way, and takes answers as they come."""

    def __init__(self) -> None:
        # Also those that came before the execution reached their interaction.
        self._answers: Answers = {}
        self._asks: list[_Ask] = []
        self._sleeps: dict[int, datetime] = {}
        self._steps = 0
        self._since = 0.0

    @property
    def in_a_step(self) -> bool:
        """True while a step is under way."""
        return self._steps > 0

    @property
    def nothing(self) -> bool:
        """True while nothing is under way: what begins to wait now is all that the run does."""
        return not (self._steps or self._asks or self._sleeps)

    @property
    def unanswered_interactions(self) -> set[UUID]:
        """The interactions without an answer."""
        interaction_sets = (ask.interactions for ask in self._asks if not ask.answers.done())
        return set().union(*interaction_sets) - self._answers.keys()

    @property
    def wake_at(self) -> datetime | None:
        """The earliest end of the sleeps."""
        return min(self._sleeps.values(), default=None)

    def since(self) -> float | None:
        """Return since when (monotonic) the run only waits; None while it works.

        An `ask` whose answers are all there is about to go on, or waits for a place to do so.
        """
        about_to = any(ask.answers.done() for ask in self._asks)
        rests = (self._asks or self._sleeps) and not (self._steps or about_to)
        return self._since if rests else None

    def receive_settlement(self, settlement: InteractionSettled) -> None:
        """Note the final status of an interaction, and wake the `ask` that it completes."""
        is_default = settlement.status == Interaction.Status.EXPIRED
        self._answers[settlement.interaction] = StoredResponse(
            settlement.response, settlement.by, settlement.at, is_default=is_default
        )
        for ask in self._asks:
            self._look(ask)

    def _look(self, ask: _Ask) -> None:
        if not ask.answers.done() and ask.interactions <= self._answers.keys():
            ask.answers.set_result(
                {interaction: self._answers.pop(interaction) for interaction in ask.interactions}
            )

    @contextmanager
    def stepping(self) -> Iterator[None]:
        """Count a step as under way."""
        self._steps += 1
        try:
            yield
        finally:
            self._steps -= 1
            self._since = time.monotonic()

    @contextmanager
    def asking(self, interactions: set[UUID]) -> Iterator[asyncio.Future[Answers]]:
        """Wait for people: for the answers to all of the interactions."""
        self._since = time.monotonic()
        ask = _Ask(interactions, asyncio.get_running_loop().create_future())
        self._look(ask)
        self._asks.append(ask)
        try:
            yield ask.answers
        finally:
            self._asks.remove(ask)

    @contextmanager
    def sleeping(self, position: int, until: datetime) -> Iterator[None]:
        """Wait for the end of a sleep."""
        self._since = time.monotonic()
        self._sleeps[position] = until
        try:
            yield
        finally:
            del self._sleeps[position]

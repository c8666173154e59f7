"""What a run in memory waits for: answers, ends of sleeps, and its own steps."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from uuid import UUID

from sessions_app.models import Interaction
from sessions_app.storage.records import InteractionSettled
from sessions_app.workflows.backend import StoredResponse

Answer = asyncio.Future[StoredResponse]


class Waiting:
    """Counts what is under way, and takes the answers as they come."""

    def __init__(self) -> None:
        self._interactions: dict[UUID, Answer] = {}
        # Answers that came before the execution reached their interaction.
        self._early: dict[UUID, StoredResponse] = {}
        # The interactions of each `ask` that waits.
        self._asks: list[set[Answer]] = []
        self._sleeps: dict[int, datetime] = {}
        self._steps = 0
        self._since = 0.0

    @property
    def in_a_step(self) -> bool:
        """Whether a step is under way."""
        return self._steps > 0

    @property
    def nothing(self) -> bool:
        """Whether nothing is under way; what begins to wait now is then all that the run does."""
        return not (self._steps or self._asks or self._sleeps)

    @property
    def unanswered(self) -> set[UUID]:
        """The interactions without an answer."""
        return {one for one, answer in self._interactions.items() if not answer.done()}

    @property
    def wake_at(self) -> datetime | None:
        """The earliest end of the sleeps."""
        return min(self._sleeps.values(), default=None)

    def since(self) -> float | None:
        """Since when (monotonic) it does nothing but wait; None while it works.

        An `ask` whose answers are all there is about to go on, or waits for a place to do so.
        """
        about_to = any(all(answer.done() for answer in asked) for asked in self._asks)
        rests = (self._asks or self._sleeps) and not (self._steps or about_to)
        return self._since if rests else None

    def expect(self, interaction: UUID) -> Answer:
        """The answer to the interaction, now or later."""
        answer: Answer = asyncio.get_running_loop().create_future()
        self._interactions[interaction] = answer
        if (early := self._early.pop(interaction, None)) is not None:
            answer.set_result(early)
        return answer

    def settled(self, news: InteractionSettled) -> None:
        """An interaction has its final status."""
        is_default = news.status == Interaction.Status.EXPIRED
        answered = StoredResponse(news.response, news.by, news.at, is_default=is_default)
        answer = self._interactions.get(news.interaction)
        if answer is None:
            self._early[news.interaction] = answered
        elif not answer.done():
            answer.set_result(answered)

    @contextmanager
    def step(self) -> Iterator[None]:
        """In a step."""
        self._steps += 1
        try:
            yield
        finally:
            self._steps -= 1
            self._since = time.monotonic()

    @contextmanager
    def ask(self, answers: set[Answer]) -> Iterator[None]:
        """Waiting for people."""
        self._since = time.monotonic()
        self._asks.append(answers)
        try:
            yield
        finally:
            self._asks.remove(answers)

    @contextmanager
    def sleep(self, position: int, until: datetime) -> Iterator[None]:
        """Waiting for the end of a sleep."""
        self._since = time.monotonic()
        self._sleeps[position] = until
        try:
            yield
        finally:
            del self._sleeps[position]

"""A context without a server: in a script or a test nothing is stored, prompts go to a callback."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

from django.utils import timezone

from sessions_app.driver import Answered
from sessions_app.interactive import AnyPrompt
from sessions_app.journal import Call, Entry, Record
from sessions_app.slots import Slot

# Answers a prompt: a text, an option's value, or a list of values.
UserInputCallback = Callable[[AnyPrompt], Awaitable[str | list[str]]]


class Script:
    """The driver of a run that lives as long as its process."""

    def __init__(self, callback: UserInputCallback) -> None:
        self._callback = callback

    def attach(self, slot: Slot) -> None:
        """Where to give the place back while a person is asked."""
        self._released = slot.released

    def recall(self, call: Call) -> Entry | None:
        """Nothing is recorded."""

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """Scripts are not parked."""
        yield

    def begin(self, call: Call, title: str) -> None:
        """Nobody watches."""

    def note(self, call: Call, record: Record) -> None:
        """Nothing is recorded."""

    async def finish(self, call: Call, record: Record) -> None:
        """Nothing is recorded."""

    async def ask(self, asked: list[tuple[Call, Any]]) -> list[Answered]:
        """Ask the callback, all questions at once."""
        async with self._released():
            return await asyncio.gather(*(self._ask(prompt) for _, prompt in asked))

    async def sleep(self, call: Call, until: datetime) -> None:
        """Sleep."""
        async with self._released():
            await asyncio.sleep(max((until - timezone.now()).total_seconds(), 0))

    async def _ask(self, prompt: Any) -> Answered:
        try:
            async with asyncio.timeout(prompt.timeout):
                given = await self._callback(prompt)
        except TimeoutError:
            return Answered(prompt.default_answer(), None, timezone.now(), is_default=True)
        many = given if isinstance(given, list) else None
        one = None if many is not None else given
        return Answered(prompt.check(one, many), "", timezone.now(), is_default=False)

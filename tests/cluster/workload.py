"""Many people who each send, answer, wait for the end, and begin again."""

import asyncio
import random
from contextlib import AsyncExitStack
from typing import Self

from sessions_app.contrib.testing.polling import until_true
from tests.cluster.form import Form
from tests.cluster.people import Person

WORDS = (
    'echo("hello")',
    "ask()",
    "ask(delay=0.3)",
    "ask_two()",
    "approve(count=3)",
    "stream(tokens=60)",
    "stream(tokens=60, delay=0.02)",
    "stream_and_ask(tokens=20)",
    "step(count=3, seconds=0.15)",
    "step(count=2, seconds=0.6)",
    "step(count=1, seconds=2.5)",
)
# So many answer in both their windows.
RIVALS = 0.3
# So many messages are asked to stop.
STOPPED = 0.1
# Of four people two share a user, and so the builder that their workflow has for each.
KINDS = (("probe", "c"), ("probe_per_user", "c"), ("probe_per_user", "d"))


class Workload:
    """`async with Workload(form, 30, seed) as workload:`; they go on until `finish`."""

    def __init__(self, form: Form, count: int, seed: int) -> None:
        self.form = form
        self.people: list[Person] = []
        for number in range(count):
            if number % 2 == 0:
                user = next(form.users)
            workflow, name = KINDS[0] if number % 4 < 2 else KINDS[1 + number % 2]
            name = f"{name}{number % 2}"
            self.people.append(Person(form, user, workflow=workflow, conversation=name))
        self._random = random.Random(seed)
        self._stack = AsyncExitStack()
        self._finishing = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        for person in self.people:
            person.answering = True
            person.rival = self._random.random() < RIVALS
            await self._stack.enter_async_context(person)
            own = random.Random(self._random.random())
            self._tasks.append(asyncio.create_task(self._live(person, own)))
        return self

    async def __aexit__(self, *_error: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._stack.aclose()

    @property
    def messages(self) -> int:
        return sum(len(person.sent) for person in self.people)

    async def until_messages(self, count: int, timeout: float = 60) -> None:
        """Wait until so many were sent: people get on."""
        await until_true(lambda: self.messages >= count, timeout, every=0.05)

    async def finish(self, timeout: float = 90) -> None:
        """Have all come to the ends of what they began."""
        self._finishing.set()
        await asyncio.gather(
            *(person.until("the end", person.done, timeout) for person in self.people)
        )
        await asyncio.gather(*self._tasks)

    async def _live(self, person: Person, own: random.Random) -> None:
        while not self._finishing.is_set():
            for _ in range(own.choice((1, 1, 1, 2))):
                message = await person.say(own.choice(WORDS))
            if own.random() < STOPPED:
                await person.until("a run", lambda: message.message_id in person.runs, timeout=600)  # noqa: B023 - awaited here
                await asyncio.sleep(own.random())
                await person.stop(message)
            await person.until("the end", person.done, timeout=600)
            await asyncio.sleep(own.random())

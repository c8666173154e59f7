"""`python -m tests.chaos.soak --minutes M --users K`: a steady load for long, and nothing grows.

People send messages, answer at once or after their runs are parked, stop runs, are cut off and come
back, look at pages, and have runs over HTTP; each goes on to the next conversation after a few
messages. What is done for a while is made old, and deleted by the retention. Memory, threads,
descriptors, files and rows are measured meanwhile: see `measurements`.
"""

import argparse
import asyncio
import random
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

from tests.chaos.forms import AnyForm, forms, options, started
from tests.chaos.measurements import Sample, courses, sample, table
from tests.chaos.orders import Orders
from tests.cluster.cluster import USERS
from tests.cluster.people import Person
from tests.cluster.workload import WORDS
from tests.http.client import Http, chat
from tests.support.processes import fork_server

PARK_AFTER = 1.0
EVERY = 5.0  # seconds between two samples
# What is over for so long is made older than it is to be kept.
KEPT = timedelta(seconds=20)
OLD = timedelta(days=2)
AGE = (
    "UPDATE sessions_app_conversation SET updated_at = %s WHERE updated_at < %s",
    "UPDATE sessions_app_hostlease SET released_at = %s WHERE released_at < %s",
)
PAGES = ("/", "/conversations/", "/health", "/c/{}/", "/static/chat_app/css/base.css")


def main() -> int:
    """Run; return 0 if nothing grew."""
    parser = options(__doc__, minutes=30, users=16)
    parser.add_argument("--leak", type=int, default=0, help="KB that each message loses: a proof")
    arguments = parser.parse_args()
    try:
        return max(_soak(form, arguments) for form in forms(arguments))
    finally:
        fork_server.close()


def _soak(form: str, arguments: argparse.Namespace) -> int:
    sys.stdout.write(
        f"{form}: seed {arguments.seed}, {arguments.minutes} minutes, {arguments.users} people\n"
    )
    sys.stdout.flush()
    directory = Path(tempfile.mkdtemp(prefix="soak-"))
    with started(form, directory, PARK_AFTER=str(PARK_AFTER), KEEP_DAYS="1") as running_form:
        soak = Soak(running_form, arguments.seed, arguments.users, arguments.leak)
        try:
            samples = asyncio.run(soak.run(arguments.minutes * 60))
        except ExceptionGroup as failed:
            sys.stdout.write(f"cut short: {failed.exceptions}; all logs are in {directory}\n")
            return 1
    all_courses = courses(samples)
    grows = [course.name for course in all_courses if not course.flat]
    sys.stdout.write("\n".join([*table(all_courses), soak.summary(), ""]))
    sys.stdout.write(f"grows: {', '.join(grows)}\n" if grows else "all is flat\n")
    shutil.rmtree(directory)
    return bool(grows)


@dataclass
class Place:
    """The part of a server that the HTTP client uses."""

    cookies: dict[str, str]
    port: int


class Soak:
    """The load, and what is measured under it."""

    def __init__(self, form: AnyForm, seed: int, users: int, leaked: int) -> None:
        self._form = form
        self._random = random.Random(seed)
        self._users = users
        self._leaked = leaked
        self._numbers = count()
        self._messages = self._requests = 0
        self._over = False

    def summary(self) -> str:
        return f"{self._messages} messages over sockets, {self._requests} requests"

    async def run(self, seconds: float) -> list[Sample]:
        """Keep it busy for so long; return what was measured.

        Raises:
            ExceptionGroup: somebody waited too long for something.
        """
        samples = []
        deadline = time.monotonic() + seconds
        async with asyncio.TaskGroup() as tasks:
            for number in range(self._users):
                own = random.Random(self._random.random())
                tasks.create_task(self._live(USERS[number], own))
            for number in range(max(1, self._users // 8)):
                own = random.Random(self._random.random())
                tasks.create_task(self._request(USERS[number], own))
            for cleaning in count(1):
                await asyncio.sleep(EVERY)
                await asyncio.to_thread(self._age)
                Orders(cleanings=cleaning, leaked=self._leaked).write(self._form.orders)
                samples.append(await asyncio.to_thread(sample, self._form))
                if time.monotonic() > deadline:
                    break
            self._over = True
        return samples

    async def _live(self, user: str, own: random.Random) -> None:
        while not self._over:
            workflow = own.choice(("probe", "probe_per_user"))
            name = f"s{next(self._numbers)}"
            async with Person(self._form, user, workflow=workflow, conversation=name) as person:
                for _ in range(own.randint(1, 4)):
                    await self._talk(person, own)

    async def _talk(self, person: Person, own: random.Random) -> None:
        person.answering = own.random() < 0.7
        message = await person.say(own.choice(WORDS))
        self._messages += 1
        if own.random() < 0.1:
            await person.until("a run", lambda: message.message_id in person.runs, timeout=90)
            await person.stop(message)
        if own.random() < 0.2:
            await person.hang_up()
        if not person.answering:
            await person.until(
                "a prompt or the end", lambda: person.pending() or person.done(), timeout=90
            )
            if person.pending():
                await asyncio.sleep(own.uniform(0, 3 * PARK_AFTER))
        await person.answer_all()
        await person.until("the end", person.done, timeout=90)

    async def _request(self, user: str, own: random.Random) -> None:
        while not self._over:
            await asyncio.to_thread(self._ask_over_http, user, own)
            await asyncio.sleep(own.random())

    def _ask_over_http(self, user: str, own: random.Random) -> None:
        origin = self._form.origin(next(self._numbers))
        place: Any = Place(self._form.cookies, int(origin.rpartition(":")[2]))
        http = Http(place, user)
        words = f"stream(tokens={own.randint(1, 40)}, delay=0.02)"
        with http.stream("/chat/stream", chat(words, stream=True)) as stream:
            assert stream.status == 200
            while own.random() > 0.02 and stream.next() is not None:
                pass  # now and then it is left before its end
        for page in PAGES:
            status = http.get(page.format(f"s{own.randrange(10_000)}")).status
            assert status in (200, 302, 404), (page, status)
        self._requests += 1 + len(PAGES)

    def _age(self) -> None:
        now = datetime.now(UTC)
        for statement in AGE:
            self._form.execute(statement, now - OLD, now - KEPT)


if __name__ == "__main__":
    sys.exit(main())

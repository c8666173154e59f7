"""Tests that the limit of concurrent runs is shared fairly among users."""

import asyncio
import threading
from collections import Counter
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessions_app.models import Run
from sessions_app.models.people import Person
from sessions_app.storage import reads
from sessions_app.workflows import Context, Message
from sessions_app.workflows.concurrency import FairSemaphore, Slot
from sessions_app.workflows.context_variables import bind
from sessions_app.workflows.request_context import NOBODY, session_user
from sessions_app.workflows.threads import MAX_THREADS, StepThreads
from tests.support.hosting import Hosting, make_user, until_true
from tests.support.sessions import declare, free, managing, say, turns
from tests.support.workflows import probe

assert probe  # the import declares the workflow

USERS = "abc"


class Work:
    """Runs that end when the test decides, in the order in which they began."""

    def __init__(self) -> None:
        self.began: list[str] = []
        self._ends: list[asyncio.Event] = []

    async def run(self, message: Message, context: Context) -> str:
        self.began.append(message.text)
        end = asyncio.Event()
        self._ends.append(end)
        await end.wait()
        return message.text

    async def end(self) -> None:
        """End the oldest run, and let waiting ones begin."""
        self._ends.pop(0).set()
        await turns()


async def begin_runs(manager: Any, user: str, count: int) -> list["asyncio.Task[Any]"]:
    """Return so many tasks of the user's runs, begun as far as the limit allows."""
    coroutines = [say(manager, f"{user}{number}", user_id=user) for number in range(count)]
    tasks = [asyncio.create_task(one) for one in coroutines]
    await turns()
    return tasks


async def test_the_next_free_place_is_for_the_user_who_has_the_fewest() -> None:
    work = Work()
    limits = {"max_concurrency": 3, "max_concurrency_per_user": 3}
    async with managing(declare(work.run), **limits) as manager:
        tasks = await begin_runs(manager, "ann", 6)
        assert work.began == ["ann0", "ann1", "ann2"]  # a single user may have all slots
        tasks += await begin_runs(manager, "ben", 2) + await begin_runs(manager, "eve", 1)
        assert len(work.began) == 3
        for _ in range(9):
            await work.end()
        assert work.began[3:] == ["ben0", "eve0", "ann3", "ben1", "ann4", "ann5"]
        assert [await task for task in tasks]
        assert free(manager._semaphore) == 3


@pytest.mark.parametrize(
    ("user", "limits", "began"),
    [
        ("ann", {}, ["ann0", "ann1", "ben0"]),
        ("ann", {"max_concurrency_per_user": 1}, ["ann0", "ben0"]),
        ("", {}, ["0", "1", "2", "3"]),
    ],
    ids=["half is kept for others", "a user is held to fewer", "without a user all are taken"],
)
async def test_places_are_kept_for_others_who_may_come(
    user: str, limits: dict[str, int], began: list[str]
) -> None:
    work = Work()
    async with managing(declare(work.run), max_concurrency=4, **limits) as manager:
        tasks = await begin_runs(manager, user, 4)
        assert work.began == [name for name in began if name != "ben0"]
        tasks += await begin_runs(manager, "ben", 1)
        assert work.began == began
        for _ in range(5):
            await work.end()
        assert [await task for task in tasks]
        assert free(manager._semaphore) == 4


@pytest.mark.parametrize("leaves", ["closed", "cancelled", "ended"])
async def test_a_waiter_that_leaves_keeps_no_place(leaves: str) -> None:
    places = FairSemaphore(1)
    await places.acquire("ann")
    slot = Slot(places, "ben")
    if leaves == "closed":
        waiter = places.acquire("ben")
        waiter.send(None)  # advance to the wait for a slot
        waiter.close()
        places.release("ann")
    else:
        waits = slot.acquire() if leaves == "ended" else places.acquire("ben")
        taking = asyncio.create_task(waits)
        await turns()
        if leaves == "ended":
            slot.end()
        places.release("ann")
        if leaves == "cancelled":
            taking.cancel()
        await asyncio.wait([taking])
    assert free(places) == 1
    async with asyncio.timeout(5):
        await places.acquire("eve")


@pytest.mark.django_db(transaction=True)
async def test_a_person_with_many_runs_keeps_nobody_waiting_until_they_end() -> None:
    async with Hosting("probe", max_concurrency=4) as hosting:
        runs = [
            await hosting.submit("stream(tokens=600, delay=1)", conversation=f"c{number}")
            for number in range(8)
        ]
        hosting.person = Person.of(await reads.read(make_user, "ben"))
        await hosting.until_ended(await hosting.submit('echo("hello")'))
        unfinished = Run.objects.filter(pk__in=runs, status__in=Run.UNFINISHED)
        assert await reads.read(unfinished.count) == 8


def test_half_of_the_threads_of_steps_are_kept_for_others_who_may_come() -> None:
    began, go = [], threading.Event()

    def step(user: str) -> None:
        began.append(user)
        go.wait(60)

    async def call(threads: StepThreads, user: str) -> None:
        with bind({session_user: (user, NOBODY)}):
            await threads.call(partial(step, user))

    async def scene() -> None:
        threads = StepThreads()
        tasks = [asyncio.create_task(call(threads, "ann")) for _ in range(MAX_THREADS)]
        await until_true(lambda: len(began) == MAX_THREADS // 2)
        tasks += [asyncio.create_task(call(threads, "ben"))]
        await until_true(lambda: "ben" in began)
        tasks[0].cancel()  # the abandoned call keeps its thread; the next call gets another one
        await until_true(lambda: began.count("ann") == MAX_THREADS // 2 + 1)
        go.set()
        await asyncio.wait(tasks)
        assert Counter(began) == {"ann": MAX_THREADS, "ben": 1}

    asyncio.run(scene())


@pytest.mark.slow
@given(
    st.lists(
        st.tuples(st.sampled_from(USERS), st.integers(0, 3), st.booleans()), min_size=1, max_size=12
    ),
    st.integers(1, 3),
)
def test_no_place_is_lost_or_doubled(runs: list[tuple[str, int, bool]], per_user: int) -> None:
    held: Counter[str] = Counter()

    async def hold(semaphore: FairSemaphore, user: str, long: int) -> None:
        await semaphore.acquire(user)
        try:
            held[user] += 1
            assert held.total() <= 3
            assert held[user] <= per_user
            for _ in range(long):
                await asyncio.sleep(0)
        finally:
            held[user] -= 1
            semaphore.release(user)

    async def scene() -> None:
        semaphore = FairSemaphore(3, per_user)
        tasks = [asyncio.create_task(hold(semaphore, user, long)) for user, long, _ in runs]
        for task, (*_, cancelled) in zip(tasks, runs, strict=True):
            await asyncio.sleep(0)
            if cancelled:
                task.cancel()
        # More turns of the event loop than needed: only a lost slot keeps a task waiting.
        for _ in range(200):
            await asyncio.sleep(0)
        assert all(task.done() for task in tasks)
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        assert not [one for one in outcomes if isinstance(one, Exception)]
        assert (semaphore._value, semaphore.locked()) == (3, False)

    asyncio.run(scene())

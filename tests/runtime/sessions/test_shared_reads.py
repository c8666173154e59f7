"""Tests of the shared reader threads: one person's slow reads leave threads to others."""

import asyncio
import threading

import pytest

from sessions_app.contrib.testing.polling import until_true
from sessions_app.storage import reads

ANN, BEN = 1, 2


@pytest.mark.parametrize("callers_left", [False, True])
async def test_slow_reads_of_one_person_leave_threads_to_the_others(*, callers_left: bool) -> None:
    """A read keeps its slot until it ends, even if its caller has left."""
    begun, may_end = list[int](), threading.Event()

    def read() -> None:
        begun.append(ANN)
        may_end.wait(30)

    tasks = [asyncio.create_task(reads.read_for(ANN, read)) for _ in range(reads.THREADS + 1)]
    try:
        await until_true(lambda: len(begun) == reads.MAX_THREADS_PER_PERSON)
        if callers_left:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
        next_read = asyncio.create_task(reads.read_for(ANN, lambda: "next"))
        assert await asyncio.wait_for(reads.read_for(BEN, lambda: "ben's"), 20) == "ben's"
        assert await asyncio.wait_for(reads.read(lambda: "nobody's"), 20) == "nobody's"
        assert not next_read.done()
        assert len(begun) == reads.MAX_THREADS_PER_PERSON
    finally:
        may_end.set()
    assert await next_read == "next"
    await asyncio.gather(*tasks, return_exceptions=True)
    assert len(begun) == (reads.MAX_THREADS_PER_PERSON if callers_left else len(tasks))


async def test_a_read_that_fails_gives_its_place_back() -> None:
    for _ in range(reads.MAX_THREADS_PER_PERSON + 1):
        with pytest.raises(ZeroDivisionError):
            await asyncio.wait_for(reads.read_for(ANN, lambda: 1 / 0), 20)

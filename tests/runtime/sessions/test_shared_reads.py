"""Tests of the threads that read for everybody: slow reads of one person leave some to others."""

import asyncio
import threading

import pytest

from sessions_app.storage import reads
from sessions_app.testing.polling import until_true

ANN, BEN = 1, 2


class SlowReads:
    """Reads of ann's that last until `may_end` is set."""

    def __init__(self) -> None:
        self.begun = 0
        self.may_end = threading.Event()
        self.tasks = [
            asyncio.create_task(reads.read_for(ANN, self._read)) for _ in range(reads.THREADS + 1)
        ]

    def _read(self) -> None:
        self.begun += 1
        self.may_end.wait(30)


async def test_slow_reads_of_one_person_leave_threads_to_the_others() -> None:
    slow = SlowReads()
    try:
        await until_true(lambda: slow.begun == reads.MOST_OF_ONE)
        assert await asyncio.wait_for(reads.read_for(BEN, lambda: "ben's"), 20) == "ben's"
        assert await asyncio.wait_for(reads.read(lambda: "nobody's"), 20) == "nobody's"
        assert slow.begun == reads.MOST_OF_ONE
    finally:
        slow.may_end.set()
    await asyncio.gather(*slow.tasks)
    assert slow.begun == len(slow.tasks)


async def test_a_read_whose_caller_has_left_keeps_its_place_until_it_ends() -> None:
    slow = SlowReads()
    try:
        await until_true(lambda: slow.begun == reads.MOST_OF_ONE)
        for task in slow.tasks:
            task.cancel()
        await asyncio.wait(slow.tasks)
        next_read = asyncio.create_task(reads.read_for(ANN, lambda: "next"))
        assert await asyncio.wait_for(reads.read_for(BEN, lambda: "ben's"), 20) == "ben's"
        assert not next_read.done()
    finally:
        slow.may_end.set()
    assert await next_read == "next"


async def test_a_read_that_fails_gives_its_place_back() -> None:
    for _ in range(reads.MOST_OF_ONE + 1):
        with pytest.raises(ZeroDivisionError):
            await asyncio.wait_for(reads.read_for(ANN, lambda: 1 / 0), 20)

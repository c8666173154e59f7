"""The corpus as results of functions, and how a run may end with one."""

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from sessions_app.models import Run
from sessions_app.storage.storable import is_storable
from tests.hostile.attack.entries import entries, texts

# Seconds of work in the event loop, in which nobody else gets an answer.
# Of processor time, which a machine with more processes than processors doubles and trebles.
LONGEST = 1.5
# Codes of runs that say in words what they do not take.
REFUSALS = ("ResultRefused", "NotJson", "TooLarge")


@contextmanager
def any_number() -> Iterator[None]:
    """Let Python read numbers of any length."""
    limit = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(0)
    try:
        yield
    finally:
        sys.set_int_max_str_digits(limit)


def values(many: int) -> Iterator[tuple[str, Any]]:
    """Yield the values of the corpus as Python has them, all texts at once, and large values.

    `many`: how many parts these have.
    """
    with any_number():
        for name, text in entries("json", "values").items():
            try:
                yield name, json.loads(text)
            except (ValueError, RecursionError):
                yield name, text
    for text in texts().values():
        if not is_storable(text):
            yield text, [text]
    yield "texts", [{text: text} for text in texts().values() if is_storable(text)]
    yield "many empty lists", [[] for _ in range(many)]
    yield "many numbers", [0.5] * (many // 2)
    yield "many sets", [{1} for _ in range(many // 20)]
    yield "bytes", b"\xff\0"


@asynccontextmanager
async def longest_work() -> AsyncIterator[list[float]]:
    """Collect the loop's processor times between its turns, until the block ends."""
    times: list[float] = []

    async def measure() -> None:
        last = time.thread_time()
        while True:
            await asyncio.sleep(0.005)
            times.append(time.thread_time() - last)
            last = time.thread_time()

    task = asyncio.create_task(measure())
    await asyncio.sleep(0)
    yield times
    await asyncio.sleep(0.01)
    task.cancel()


def problem_of(run: Run, times: list[float]) -> str:
    """Describe what is wrong with the end of a run; empty if nothing is."""
    error = str(run.error)
    if max(times) > LONGEST:
        return f"the loop was held up for {max(times):.1f} s"
    if run.status != Run.Status.COMPLETED and not any(code in error for code in REFUSALS):
        return f"{run.status}: {error[:1000]}"
    return ""

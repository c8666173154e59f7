"""The rule of the soak finds what grows, whatever it is, and lets noise be."""

import random
from collections.abc import Callable

import pytest

from tests.chaos.measurements import Sample, courses

STEADY = {
    "server MB of memory": 110.0,
    "server threads": 14,
    "server descriptors": 45,
    "files": 4,
    "MB of files": 6.0,
    "sessions_app_event rows": 1000,
}
# What is planted: how much of it there is after so much of the time, from 0 to 1.
LEAKS: dict[str, tuple[str, Callable[[float], float]]] = {
    "memory, slowly": ("server MB of memory", lambda time: 20 * time),
    "memory, at the end": ("server MB of memory", lambda time: 30 * (time > 0.75)),
    "threads": ("server threads", lambda time: 10 * time),
    "descriptors": ("server descriptors", lambda time: 40 * time),
    "files": ("files", lambda time: 12 * time),
    "a file that is only appended to": ("MB of files", lambda time: 15 * time),
    "rows that no retention deletes": ("sessions_app_event rows", lambda time: 1000 * time),
    "rows of a table that was empty": ("chat_app_socketcursor rows", lambda time: 300 * time),
}


def measured(leak: Callable[[float], float] | None = None, of: str = "") -> list[Sample]:
    """Samples of half an hour, with noise."""
    noise = random.Random(1)
    samples: list[Sample] = []
    for number in range(300):
        sample = {name: value * noise.uniform(0.97, 1.03) for name, value in STEADY.items()}
        if leak is not None:
            sample[of] = sample.get(of, 0.0) + leak(number / 300)
        samples.append(sample)
    return samples


def growing(samples: list[Sample]) -> list[str]:
    return [course.name for course in courses(samples) if not course.flat]


def test_a_steady_measurement_does_not_grow() -> None:
    assert growing(measured()) == []


def test_growth_during_warm_up_is_no_leak() -> None:
    assert growing(measured(lambda time: min(40.0, 400 * time), "server MB of memory")) == []


@pytest.mark.parametrize("description", LEAKS)
def test_a_planted_leak_is_found(description: str) -> None:
    name, leak = LEAKS[description]
    assert growing(measured(leak, name)) == [name]

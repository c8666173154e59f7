"""Waiting for what other processes do; in an event loop there is the test kit's `polling`."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
# Seconds. A busy machine is slow, but only a failing test waits as long as this.
PATIENCE = 60.0


def until(
    look: Callable[[], T | None],
    patience: float = PATIENCE,
    every: float = 0.05,
    *,
    otherwise: Callable[[], object] = lambda: "",
) -> T:
    """Look again and again until what comes is true, and return it. Blocks; times are in seconds.

    Raises:
        AssertionError: nothing came in time; `otherwise` says what there was.
    """
    deadline = time.monotonic() + patience
    while not (outcome := look()):
        assert time.monotonic() < deadline, f"not in {patience} s: {otherwise()}"
        time.sleep(every)
    return outcome

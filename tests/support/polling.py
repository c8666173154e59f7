"""Waiting for other processes. In an event loop, tests use `polling` of the test kit instead."""

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
    """Call a function repeatedly until its result is true, and return the result. Blocks.

    Raises:
        AssertionError: nothing came in time; `otherwise` says what there was.
    """
    deadline = time.monotonic() + patience
    while not (outcome := look()):
        assert time.monotonic() < deadline, f"not in {patience} s: {otherwise()}"
        time.sleep(every)
    return outcome

"""Waiting for what other processes do."""

import time
from collections.abc import Callable


def until(condition: Callable[[], object], timeout: float = 60) -> None:
    """Look again and again until it is true; `timeout` is in seconds."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"not in {timeout} s"
        time.sleep(0.05)

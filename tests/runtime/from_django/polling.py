"""Waiting for what other processes do."""

import time
from collections.abc import Callable


def until(condition: Callable[[], object], timeout: float = 60, pause: float = 0.05) -> None:
    """Look again and again until it is true; `timeout` and `pause` are in seconds."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"not in {timeout} s"
        time.sleep(pause)

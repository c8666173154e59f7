"""The frames that threads execute: of which run, at which line."""

import gc
import sys
from types import FrameType


def frame_of(thread: int) -> FrameType | None:
    """Return the frame that a thread executes.

    No garbage is collected meanwhile. Python 3.11 makes the frames under a lock, and what a
    collection calls then may let another thread run, which waits for that lock when it starts or
    ends: all stand still for ever (https://github.com/python/cpython/issues/106883).
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        return sys._current_frames().get(thread)  # noqa: SLF001 - a documented name
    finally:
        if enabled:
            gc.enable()


def lines_of(frame: FrameType, module: str) -> tuple[str, str]:
    """Return the innermost executed line of the workflow's module, and the innermost of all."""
    innermost = own_line = _line(frame)
    outer: FrameType | None = frame
    while outer is not None:
        if outer.f_globals.get("__name__") == module:
            own_line = _line(outer)
            break
        outer = outer.f_back
    return own_line, innermost


def _line(frame: FrameType) -> str:
    return f"{frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_name}"

"""A limit of work for the texts of one page: text beyond it is shown as it was written.

With some texts the work grows with the square of their length.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from markdown_it import MarkdownIt
from markdown_it.rules_block import StateBlock
from markdown_it.rules_inline import StateInline

# Of processor time. A megabyte of what people write takes about one second, a page is mostly less.
SECONDS = 2.0
COLOURING_SECONDS = 1.0  # of the process beside the server
OFTEN = 16  # looks of a parser for one at the clock, which is a call of the system


# What a rule of the parser can be ended by at each of its lines: all that goes over lines.
_INTERRUPTED_RULES = ["paragraph", "reference", "blockquote", "list"]


class TooMuchWork(Exception):
    """The error that the time for Markdown is over."""


class Work:
    """The time that is left for the texts of a page, which are rendered in one thread."""

    def __init__(self) -> None:
        self._end = time.thread_time() + SECONDS
        self._looks, self._is_over = 0, False
        self._colouring_seconds = COLOURING_SECONDS

    def look(self) -> None:
        """Raise TooMuchWork once the time is over."""
        self._looks += 1
        if self._looks % OFTEN == 0 and time.thread_time() > self._end:
            self._is_over = True
        if self._is_over:
            raise TooMuchWork

    @property
    def may_colour(self) -> bool:
        """True while there is time left to colour code."""
        return self._colouring_seconds > 0

    def count_colouring(self, seconds: float) -> None:
        """Count the time that colouring code took."""
        self._colouring_seconds -= seconds


_of_page: ContextVar[Work] = ContextVar("work")


def current() -> Work:
    """Return the limit of the page that is being made; without one, of a text by itself."""
    return _of_page.get(None) or Work()


@contextmanager
def of_page() -> Iterator[None]:
    """Share one limit among all texts that are rendered in the block."""
    token = _of_page.set(Work())
    try:
        yield
    finally:
        _of_page.reset(token)


def limit(parser: MarkdownIt) -> None:
    """Have the parser look at the clock again and again, and raise TooMuchWork: before each thing
    that it tries. Its `env` has the `work`.
    """
    parser.block.ruler.before("table", "work", _look, {"alt": _INTERRUPTED_RULES})
    parser.inline.ruler.before("text", "work", _look)


def _look(state: StateBlock | StateInline, *_: object) -> bool:
    state.env["work"].look()
    return False

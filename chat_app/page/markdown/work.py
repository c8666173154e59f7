"""The time limit for rendering the texts of one page; text beyond it is shown as plain source.

For some texts, the time grows with the square of their length.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from markdown_it import MarkdownIt
from markdown_it.rules_block import StateBlock
from markdown_it.rules_inline import StateInline

# Processor seconds for a page's Markdown. A megabyte of typical text takes one, most pages less.
PAGE_SECONDS = 2.0
COLOURING_SECONDS = 1.0  # seconds that the painter process may work for a page
LOOKS_PER_TIME_CHECK = 16  # calls of `look` per reading of the clock, which is a system call


# Block rules of the parser that span lines, and can therefore be interrupted at each line.
_INTERRUPTED_RULES = ["paragraph", "reference", "blockquote", "list"]


class MarkdownTimeout(Exception):
    """The error that the time for Markdown is over."""


class Work:
    """The remaining time for rendering the texts of one page, all in one thread."""

    def __init__(self) -> None:
        self._end = time.thread_time() + PAGE_SECONDS
        self._checks, self._is_over = 0, False
        self._colouring_seconds = COLOURING_SECONDS

    def check_time(self) -> None:
        """Raise MarkdownTimeout once the rendering time is over."""
        self._checks += 1
        if self._checks % LOOKS_PER_TIME_CHECK == 0 and time.thread_time() > self._end:
            self._is_over = True
        if self._is_over:
            raise MarkdownTimeout

    @property
    def may_colour(self) -> bool:
        """True while time is left to colour code."""
        return self._colouring_seconds > 0

    def count_colouring(self, seconds: float) -> None:
        """Subtract the time that colouring some code took."""
        self._colouring_seconds -= seconds


_of_page: ContextVar[Work] = ContextVar("work")


def current() -> Work:
    """Return the limit of the page in progress; outside of a page, that of a single text."""
    return _of_page.get(None) or Work()


@contextmanager
def of_page() -> Iterator[None]:
    """Share one time limit among all texts that are rendered in the `with` block."""
    token = _of_page.set(Work())
    try:
        yield
    finally:
        _of_page.reset(token)


def limit(parser: MarkdownIt) -> None:
    """Let the parser check the time before each rule, and raise MarkdownTimeout.

    The parser's `env` must contain the `work`.
    """
    parser.block.ruler.before("table", "work", _check_time, {"alt": _INTERRUPTED_RULES})
    parser.inline.ruler.before("text", "work", _check_time)


def _check_time(state: StateBlock | StateInline, *_: object) -> bool:
    state.env["work"].check_time()
    return False

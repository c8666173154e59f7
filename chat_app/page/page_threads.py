"""Making pages: in threads of their own, and for each reader one at a time.

What people and workflows write may be much work to show, and databases may be slow: that holds up
who asked for it, and no socket, no `/health` and no other's page.
"""

from collections.abc import Callable
from typing import TypeVar

from chat_app.page.markdown import work
from sessions_app.models.people import UserId
from sessions_app.storage import reads

T = TypeVar("T")

THREADS = 2

_executor = reads.make_threads(THREADS, "page")
_turns = reads.Shares(1)


async def make(function: Callable[[], T], *, reader: UserId) -> T:
    """Run a function that reads and renders in one of the threads, once it is the reader's turn."""

    def within_limit() -> T:
        with work.of_page():
            return function()

    return await _turns.run(reader, lambda: reads.begin_in(_executor, within_limit))

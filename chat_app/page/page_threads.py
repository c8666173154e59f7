"""Making pages: in threads of their own, and for each reader one at a time.

What people and workflows write may be much work to show, and databases may be slow: that holds up
who asked for it, and no socket, no `/health` and no other's page.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar
from weakref import WeakValueDictionary

from django.utils import translation

from chat_app.page.markdown import work
from sessions_app.models.people import UserId
from sessions_app.storage import reads

T = TypeVar("T")

THREADS = 2

_executor = ThreadPoolExecutor(THREADS, "page")
_turns: WeakValueDictionary[UserId, asyncio.Lock] = WeakValueDictionary()


async def make(function: Callable[[], T], *, reader: UserId) -> T:
    """Run a function that reads and renders in one of the threads, once it is the reader's turn.
    The thread speaks the language of its caller.
    """
    language = translation.get_language()

    def speaking() -> T:
        with translation.override(language), work.of_page():
            return function()

    turn = _turns.setdefault(reader, asyncio.Lock())
    await turn.acquire()
    page_task = reads.begin_in(_executor, speaking)
    # Who leaves meanwhile leaves the thread at work: it is the next one's turn when that has ended.
    page_task.add_done_callback(lambda _: turn.release())
    return await asyncio.shield(page_task)

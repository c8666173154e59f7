"""How many runs of one user may be unfinished: those that wait for a person count too.

To count them takes a query, so that it is done now and then: not for each message.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from weakref import WeakValueDictionary

from django.utils.translation import gettext_noop

from chat_app.settings import ChatSettings
from sessions_app.conversations.messages import count_unfinished
from sessions_app.errors import TooMany
from sessions_app.models.people import UserId
from sessions_app.storage import reads

OFTEN = 20  # messages of a user in this process between two looks, or as many as there is room for
RETRY = 60  # seconds: nobody knows when one of them ends
MOST = 10_000  # users of whom it is known how many messages they have left

_left: dict[UserId, int] = {}
# Runs that are let begin, and perhaps not stored.
_beginning: Counter[UserId] = Counter()
_looks: WeakValueDictionary[UserId, asyncio.Lock] = WeakValueDictionary()


@asynccontextmanager
async def another_run(user: UserId) -> AsyncIterator[None]:
    """Begin another run of the user within this: it counts from here on.

    Raises:
        TooMany: too many are unfinished.
    """
    if limit := ChatSettings.load().RUNS_PER_USER:
        await _look(user, limit)
    _beginning[user] += 1
    try:
        yield
    finally:
        _beginning[user] -= 1
        if not _beginning[user]:
            del _beginning[user]


async def _look(user: UserId, limit: int) -> None:
    if len(_left) > MOST:
        _left.clear()
    if _left.setdefault(user, min(OFTEN, limit)) <= 0:
        # One after the other, or each would have to itself what one look finds.
        async with _looks.setdefault(user, asyncio.Lock()):
            if _left.get(user, 0) <= 0:
                beginning = _beginning[user]  # some of them may be stored when it looks
                unfinished = await reads.read(count_unfinished, user, limit)
                _left[user] = min(OFTEN, limit - unfinished - beginning)
            if _left[user] <= 0:
                raise TooMany(gettext_noop("unfinished runs"), RETRY)
    _left[user] -= 1

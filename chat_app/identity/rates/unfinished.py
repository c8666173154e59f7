"""How many runs of one user may be unfinished: those that wait for a person count too.

To count them takes a query, so that it is done now and then: not for each message.
"""

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


async def check_unfinished(user: UserId) -> None:
    """Look whether the user may begin another run.

    Raises:
        TooMany: too many are unfinished.
    """
    limit = ChatSettings.load().RUNS_PER_USER
    if not limit:
        return
    if len(_left) > MOST:
        _left.clear()
    left = _left.get(user, min(OFTEN, limit))
    if left <= 0:
        left = min(OFTEN, limit - await reads.read(count_unfinished, user, limit))
        if left <= 0:
            raise TooMany(gettext_noop("unfinished runs"), RETRY)
    _left[user] = left - 1

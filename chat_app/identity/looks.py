"""Looks whether identities still hold, made for all who do something at the time."""

import asyncio
import time

from chat_app.identity.identities import Identity, still_valid
from sessions_app.storage import reads

# Seconds for which a look is good. Who was signed out says and approves nothing any more, also
# where the hint of it was lost.
GOOD_FOR = 1.0
# The age from which on a look is made anew beside that of another: nobody looks for those who have
# just been looked at, however many come at once.
OLD = GOOD_FOR / 2
# Who goes on asks again when a look is good no longer.
GOES_ON = 2 * GOOD_FOR

_Look = asyncio.Future[set[Identity]]


class Looks:
    """One look serves all who have asked a moment ago, so that what looks take does not grow with
    the sockets on which something is done.
    """

    def __init__(self) -> None:
        # When each was last asked for.
        self._asked: dict[Identity, float] = {}
        # The last look at each, and when it began.
        self._looks: dict[Identity, tuple[_Look, float]] = {}

    async def held_at(self, identity: Identity) -> float | None:
        """A time by the monotonic clock, a second ago at most, at which it held; None if it does
        not hold.

        Raises:
            django.db.DatabaseError: it could not be looked.
        """
        now = self._asked[identity] = time.monotonic()
        if self._age(identity, now) >= GOOD_FOR:
            self._look(now)
        look, began = self._looks[identity]
        # Others wait for it too.
        return began if identity in await asyncio.shield(look) else None

    def _look(self, now: float) -> None:
        self._asked = {each: at for each, at in self._asked.items() if now - at < GOES_ON}
        self._looks = {each: self._looks[each] for each in self._asked if each in self._looks}
        old = [each for each in self._asked if self._age(each, now) >= OLD]
        look = reads.begin(still_valid, old)
        self._looks |= dict.fromkeys(old, (look, now))

    def _age(self, identity: Identity, now: float) -> float:
        look, began = self._looks.get(identity, (None, 0.0))
        failed = look is None or (look.done() and (look.cancelled() or look.exception()))
        return float("inf") if failed else now - began

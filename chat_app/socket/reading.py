"""The reading of frames: each user's bytes are counted, and large frames are read in turn.

Reading a large frame takes the event loop for some milliseconds. A user who sends many, on many
sockets, would have nearly all of the loop's time.
"""

import asyncio
import time
from weakref import WeakValueDictionary

from chat_app.rates import Rate, rate_limits
from chat_app.wire.client_messages import ClientMessage
from chat_app.wire.parsing import parse
from sessions_app.models.people import UserId

LARGE = 16 * 1024  # characters
# The next large frame of the user is read after so many times the time that this one took.
REST = 3

_turns: WeakValueDictionary[UserId, asyncio.Lock] = WeakValueDictionary()


async def read_frame(text: str | None, user: UserId) -> ClientMessage:
    """Parse the frame of a user, a large one once it is its turn among the user's.

    Raises:
        TooMany: the user has sent too many bytes.
        Refusal: as `parse`.
    """
    rate_limits.take((Rate.BYTES_USER, user), amount=_size(text))
    if text is None or len(text) < LARGE:
        return parse(text)
    turn = _turns.setdefault(user, asyncio.Lock())
    await turn.acquire()
    began = time.perf_counter()
    try:
        return parse(text)
    finally:
        rest = REST * (time.perf_counter() - began)
        asyncio.get_running_loop().call_later(rest, turn.release)


def _size(text: str | None) -> int:
    return len((text or "").encode(errors="surrogatepass"))

"""The submission of messages and claims, within rate limits and a limit on unfinished runs.

The limit on runs is for each user, and includes runs that wait for a person.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from weakref import WeakValueDictionary

from django.utils.translation import pgettext_lazy

from chat_app.rates.rate_limits import Rate, rate_limits
from sessions_app.conversations import messages
from sessions_app.conversations.messages import IncomingMessage, SubmittedMessage
from sessions_app.errors import TooMany
from sessions_app.interactions import claims
from sessions_app.interactions.claims import ClaimState
from sessions_app.models.people import Person, UserId
from sessions_app.settings import RuntimeSettings
from sessions_app.storage import reads
from sessions_app.storage.lineage import count_unfinished

# Counting unfinished runs takes a query, and is therefore not done for each message.
MESSAGES_PER_COUNT = 20  # maximum number of a user's messages in this process between two counts
RETRY_SECONDS = 60  # seconds until a retry: when a run will end is unknown
MAX_REMEMBERED_USERS = 10_000  # maximum number of users whose free run slots are remembered

_slots_left: dict[UserId, int] = {}
# Number of each user's runs that are being started, and may not be in the database yet.
_starting_runs: Counter[UserId] = Counter()
_count_locks: WeakValueDictionary[UserId, asyncio.Lock] = WeakValueDictionary()


async def submit(
    *, owner: UserId, address: str, conversation_id: str, message: IncomingMessage
) -> SubmittedMessage:
    """Store a message and start its run: `messages.submit`.

    A repetition of a stored message is never refused, so that its client learns the outcome. The
    stored message is looked up only when a limit is reached.

    Raises:
        TooMany: there are too many messages, new conversations, or unfinished runs.
        Refused: as `messages.submit`.
    """

    async def look_up() -> tuple[bool, bool]:
        return await reads.read_for(
            owner, messages.exist, owner, conversation_id, message.message_id
        )

    async with AsyncExitStack() as stack:
        try:
            rate_limits.take((Rate.MESSAGES_USER, owner), (Rate.MESSAGES_ADDRESS, address))
            await stack.enter_async_context(_another_run(owner))
        except TooMany:
            if not (await look_up())[1]:
                raise
        reservation = None
        try:
            reservation = rate_limits.reserve(
                (Rate.CONVERSATIONS_USER, owner), (Rate.CONVERSATIONS_ADDRESS, address)
            )
            stack.callback(reservation.refund)
        except TooMany:
            if not (await look_up())[0]:
                raise
        submitted_message = await messages.submit(
            owner=owner, conversation_id=conversation_id, message=message
        )
        if (
            reservation is not None
            and submitted_message.sequence == 1
            and not submitted_message.duplicate
        ):
            reservation.keep()
        return submitted_message


@asynccontextmanager
async def _another_run(user: UserId) -> AsyncIterator[None]:
    """Count another starting run of the user during the `with` block.

    Raises:
        TooMany: the user has too many unfinished runs.
    """
    if limit := RuntimeSettings.load().RUNS_PER_USER:
        await _acquire_slot(user, limit)
    _starting_runs[user] += 1
    try:
        yield
    finally:
        _starting_runs[user] -= 1
        if not _starting_runs[user]:
            del _starting_runs[user]


async def _acquire_slot(user: UserId, limit: int) -> None:
    if len(_slots_left) > MAX_REMEMBERED_USERS:
        _slots_left.clear()
    if _slots_left.setdefault(user, min(MESSAGES_PER_COUNT, limit)) <= 0:
        # Count under a lock: otherwise, concurrent requests would each use the free slots of one
        # count.
        async with _count_locks.setdefault(user, asyncio.Lock()):
            if _slots_left.get(user, 0) <= 0:
                # Read before the query: a run stored meanwhile counts twice, but is not missed.
                starting_count = _starting_runs[user]
                unfinished_count = await reads.read_for(user, count_unfinished, user, limit)
                _slots_left[user] = min(
                    MESSAGES_PER_COUNT, limit - unfinished_count - starting_count
                )
            if _slots_left[user] <= 0:
                raise TooMany(pgettext_lazy("hitl", "unfinished runs"), RETRY_SECONDS)
    _slots_left[user] -= 1


async def change_claim(
    change: str, interaction: str, *, to: str, note: str, by: Person, via: str
) -> ClaimState:
    """Claim a prompt, release it, or delegate it: `claims.change`.

    Raises:
        TooMany: the person has changed claims too often.
        NotFound, Invalid: as `claims.change`.
    """
    rate_limits.take((Rate.CLAIMS_USER, by.id))
    return await claims.change(change, interaction, to=to, note=note, by=by, via=via)

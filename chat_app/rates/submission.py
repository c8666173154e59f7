"""Messages, within the rates of their user and of the address that they come from."""

from contextlib import AsyncExitStack

from chat_app.rates.rate_limits import Rate, rate_limits
from chat_app.rates.unfinished import another_run
from sessions_app.conversations import messages
from sessions_app.conversations.messages import IncomingMessage, SubmittedMessage
from sessions_app.errors import TooMany
from sessions_app.models.people import UserId
from sessions_app.storage import reads


async def submit(
    *, owner: UserId, address: str, conversation_id: str, message: IncomingMessage
) -> SubmittedMessage:
    """Store a message and start its run: `messages.submit`.

    What is stored already is never refused, so that a client which repeats a message learns of it.
    That is looked up only where a limit is reached.

    Raises:
        TooMany: messages, new conversations, or runs that are unfinished.
        Refused: as `messages.submit`.
    """

    async def known() -> tuple[bool, bool]:
        return await reads.read(messages.known, owner, conversation_id, message.message_id)

    async with AsyncExitStack() as begun:
        try:
            rate_limits.take((Rate.MESSAGES_USER, owner), (Rate.MESSAGES_ADDRESS, address))
            await begun.enter_async_context(another_run(owner))
        except TooMany:
            if not (await known())[1]:
                raise
        new = None
        try:
            new = rate_limits.reserve(
                (Rate.CONVERSATIONS_USER, owner), (Rate.CONVERSATIONS_ADDRESS, address)
            )
            begun.callback(new.give_back)
        except TooMany:
            if not (await known())[0]:
                raise
        submitted = await messages.submit(
            owner=owner, conversation_id=conversation_id, message=message
        )
        if new is not None and submitted.sequence == 1 and not submitted.duplicate:
            new.keep()
        return submitted

"""The chat socket: a frame in, one call, an acknowledgement; news in, frames out. No ORM here."""

import asyncio
from typing import Any
from uuid import UUID, uuid4

import structlog

from chat_app import cursors, identity
from chat_app.allowance import CloseSocket
from chat_app.base_consumer import Scope, Send
from chat_app.client_messages import (
    AckMessage,
    AuthMessage,
    ClientMessage,
    InteractionMessage,
    PingMessage,
    StopMessage,
    UserMessage,
)
from chat_app.feed import Feed
from chat_app.frames import Frame, dump
from chat_app.identified_consumer import IdentifiedConsumer
from chat_app.protocol import Refusal, check_query, parse, refusal_of
from chat_app.replies import (
    acknowledged,
    pong,
    refused,
    settled_content,
    submitted_content,
)
from chat_app.selectors import find_conversation, read_opening
from chat_app.sweeper import sweeper
from sessions_app import answers, conversations, database
from sessions_app.answers import Answer
from sessions_app.conversations import Message
from sessions_app.errors import Invalid, NotFound
from sessions_app.notify import NEWS, group_name

log = structlog.get_logger(__name__)

# Conversations that one socket follows; a further one takes the place of the first.
MAX_FEEDS = 64
# Seconds for which a look whether the identity still holds is good.
AUTHORISED = 1.0


class ChatConsumer(IdentifiedConsumer):
    """A user's socket. It follows each conversation that it touches, by one feed each."""

    def __init__(self, scope: Scope, send: Send) -> None:
        super().__init__(scope, send)
        self._ids: dict[str, UUID] = {}
        self._following = asyncio.Lock()
        self._conversation_id: str | None = None
        self._workflow: str | None = None
        self._metadata: dict[str, Any] = {}

    async def begin(self) -> None:
        """Follow the conversation that the query names."""
        self._metadata = identity.metadata(self.scope)
        query, refusals = check_query(identity.parameters(self.scope))
        self._workflow = query.workflow
        self._conversation_id = query.conversation_id
        for refusal in refusals:
            await self._refuse(refusal)
        if query.conversation_id is not None:
            self.awaited.add(query.conversation_id)
            await self._follow(query.conversation_id, after=query.last_sequence)

    async def left(self) -> None:
        """Leave all conversations."""
        await super().left()
        for conversation in list(self.feeds):
            await self._unfollow(conversation)

    async def received(self, text: str | None) -> None:
        """Carry out what a frame asks for, or say why not. The socket outlives either."""
        message: ClientMessage | None = None
        try:
            message = parse(text)
            message.conversation_id = message.conversation_id or self._conversation_id
            await self._handle(message)
        except CloseSocket:
            raise
        except Refusal as refusal:
            await self._refuse(refusal)
        except Exception as error:
            told = refusal_of(error, answer=isinstance(message, InteractionMessage))
            if told is None:
                log.exception("socket.failed", type=type(message).__name__)
                told = Refusal("unknown_error", "Something went wrong here. Send it again.")
            told.about_message(message)
            await self._refuse(told)

    async def heard(self, message: dict[str, Any]) -> None:
        """A conversation has news, or the person may have been signed out."""
        if message["type"] != NEWS:
            await super().heard(message)
            return
        feed = self.feeds.get(UUID(hex=message["conversation"]))
        if feed is not None:
            await feed.news(message["sequence"], message["copy"])

    async def nudged(self) -> None:
        """News was lost, or the conversation that the connection named has come to be."""
        for feed in list(self.feeds.values()):
            if feed.behind:
                await feed.advance()
        for name in list(self.awaited):
            await self._follow(name, after=0)

    async def _handle(self, message: ClientMessage) -> None:
        match message:
            case InteractionMessage():
                await self._answer(message)
            case UserMessage():
                await self._submit(message)
            case AckMessage():
                await self._feed_of(message).acknowledge(message.sequence)
            case StopMessage():
                await self._stop(message)
            case PingMessage():
                await self._reply(pong(message))
            case AuthMessage():
                await self.authenticate(message)

    async def _submit(self, message: UserMessage) -> None:
        message.id = message.id or str(uuid4())
        if message.conversation_id is None:
            message.conversation_id = self._conversation_id = str(uuid4())
        feed = await self._follow(message.conversation_id)
        submitted = await conversations.submit(
            owner=self.user,
            conversation_id=message.conversation_id,
            message=Message(
                message_id=message.id,
                text=message.content.text or "",
                schema_type=message.schema_type,
                workflow=message.workflow or self._workflow,
                metadata=self._metadata,
            ),
        )
        if feed is None:
            await self._follow(message.conversation_id, after=submitted.sequence - 1)
        outcome = "duplicate" if submitted.duplicate else "accepted"
        await self._reply(acknowledged(message, outcome, submitted_content(submitted)))

    async def _answer(self, message: InteractionMessage) -> None:
        text = message.content.text if message.content else None
        if text is None and message.values is None:
            raise Invalid("The answer has neither a text nor values.")
        # Who was signed out approves nothing any more, also where the message of it was lost.
        await self.authorise(within=AUTHORISED)
        if message.conversation_id is not None:
            await self._follow(message.conversation_id)
        settled = await answers.answer(
            by=self.person,
            conversation_id=message.conversation_id,
            answer=Answer(
                answer_id=message.id or str(uuid4()),
                value=text,
                values=message.values,
                interaction=message.interaction_id,
                names=[name for name in (message.id, message.thread_id) if name],
                version=message.version,
            ),
        )
        await self._reply(acknowledged(message, settled.outcome, settled_content(settled)))

    async def _stop(self, message: StopMessage) -> None:
        """Acknowledged when the runs have really ended."""
        if message.conversation_id is not None:
            await self._follow(message.conversation_id)
        try:
            feed = self._feed_of(message)
            runs = await conversations.stop(
                owner=self.user, conversation_id=feed.conversation_id, run=message.run_id
            )
        except NotFound:
            await self._reply(acknowledged(message, "not_found"))
            return
        ack = acknowledged(message, "accepted", {"runs": [str(run) for run in runs]})
        await feed.send_when_ended(runs, ack)

    def _feed_of(self, message: ClientMessage) -> Feed:
        conversation = self._ids.get(message.conversation_id or "")
        if conversation is None:
            raise NotFound("This socket follows no such conversation.")
        return self.feeds[conversation]

    async def _follow(self, conversation_id: str, *, after: int | None = None) -> Feed | None:
        """The feed of a conversation, opened if need be; None if there is no such conversation."""
        if conversation_id in self._ids:
            return self.feeds[self._ids[conversation_id]]
        async with self._following:
            if conversation_id in self._ids:  # by another task meanwhile
                return self.feeds[self._ids[conversation_id]]
            conversation = await database.read(find_conversation, self.user, conversation_id)
            if conversation is None:
                if after:
                    await self._refuse(_lost(after, 0))
                return None
            if len(self.feeds) >= MAX_FEEDS:
                await self._unfollow(next(iter(self.feeds)))
            self.awaited.discard(conversation_id)
            return await self._open(conversation, conversation_id, after)

    async def _open(self, conversation: UUID, conversation_id: str, after: int | None) -> Feed:
        first = sweeper.follow(conversation, self.user)
        feed = Feed(conversation, conversation_id, self.send_text)
        self.feeds[conversation] = feed
        self._ids[conversation_id] = conversation
        try:
            # Joined before the log is looked at, so that nothing falls between.
            await self.ear.join(group_name(conversation))
            kept = await cursors.take(conversation, self.user)
            opening = await database.read(
                read_opening, conversation, after=after, kept=kept if first else None
            )
        except Exception:
            await self._unfollow(conversation)
            raise
        if opening.lost and after is not None:
            await self._refuse(_lost(after, opening.last))
        await feed.start(opening)
        return feed

    async def _unfollow(self, conversation: UUID) -> None:
        feed = self.feeds.pop(conversation)
        del self._ids[feed.conversation_id]
        last = sweeper.unfollow(conversation, self.user)
        await self.ear.leave(group_name(conversation))
        if last and feed.started:
            await cursors.keep(conversation, self.user, feed.cursor)

    async def _reply(self, frame: Frame) -> None:
        await self.send_text(dump(frame))

    async def _refuse(self, refusal: Refusal) -> None:
        refusal.conversation_id = refusal.conversation_id or self._conversation_id
        await self._reply(refused(refusal))


def _lost(after: int, last: int) -> Refusal:
    return Refusal(
        "invalid_message",
        f"The log ends at {last}: there is no last_sequence {after}. What waits for you and what "
        "comes from now on is sent; load the conversation anew to see the rest.",
        last_sequence=last,
        recovered=False,
    )

"""The chat socket: a frame in, one call, an acknowledgement; news in, frames out. No ORM here."""

import asyncio
from typing import Any
from uuid import UUID, uuid4

import structlog

from chat_app import cursors, identity
from chat_app.allowance import CloseSocket
from chat_app.base_consumer import SocketConsumer
from chat_app.feed import Feed
from chat_app.frames import Frame, dump, reply, timestamp
from chat_app.protocol import (
    AckMessage,
    ClientMessage,
    InteractionMessage,
    PingMessage,
    Refusal,
    StopMessage,
    UserMessage,
    check_query,
    parse,
    refusal_of,
)
from chat_app.selectors import find_conversation, read_opening
from chat_app.sweeper import sweeper
from sessions_app import conversations, database
from sessions_app.conversations import Answer, Message, Settled
from sessions_app.errors import NotFound
from sessions_app.notify import NEWS, group_name

log = structlog.get_logger(__name__)

# Conversations that one socket follows; a further one takes the place of the first.
MAX_FEEDS = 64


class ChatConsumer(SocketConsumer):
    """A user's socket. It follows each conversation that it touches, by one feed each."""

    user = 0

    def admits(self) -> bool:
        """A page of another site may not use the cookies of this one."""
        return identity.origin_allowed(self.scope)

    async def opened(self) -> None:
        """Follow the conversation that the query names."""
        self.feeds: dict[UUID, Feed] = {}
        self.awaited: set[str] = set()
        self._ids: dict[str, UUID] = {}
        self._following = asyncio.Lock()
        user = identity.user_id(self.scope)
        if user is None:
            raise CloseSocket(4401, "not signed in")
        self.user = user
        sweeper.add(self)
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
        if self.user:
            await sweeper.remove(self)
            for conversation in list(self.feeds):
                await self._unfollow(conversation)

    async def received(self, text: str | None) -> None:
        """Carry out what a frame asks for, or say why not. The socket outlives either."""
        message: ClientMessage | None = None
        try:
            message = parse(text)
            await self._handle(message)
        except CloseSocket:
            raise
        except Refusal as refusal:
            await self._refuse(refusal)
        except Exception as error:  # noqa: BLE001 - logged, and the client is told
            refusal = refusal_of(error, answer=isinstance(message, InteractionMessage))
            if refusal is None:
                log.exception("socket.failed", type=type(message).__name__)
                refusal = Refusal("unknown_error", "Something went wrong here. Send it again.")
            refusal.about_message(message)
            await self._refuse(refusal)

    async def heard(self, message: dict[str, Any]) -> None:
        """A conversation has news."""
        if message["type"] == NEWS:
            feed = self.feeds.get(UUID(hex=message["conversation"]))
            if feed is not None:
                await feed.news(message["sequence"], message["copy"])

    async def nudged(self) -> None:
        """News was lost, or the conversation that the connection named has come to be."""
        for feed in list(self.feeds.values()):
            if feed.behind:
                await self._join(feed.conversation)
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
                await self._reply("pong_message", message)

    async def _submit(self, message: UserMessage) -> None:
        conversation_id = message.conversation_id or self._conversation_id
        if conversation_id is None:
            conversation_id = self._conversation_id = str(uuid4())
        feed = await self._follow(conversation_id)
        message_id = message.id or str(uuid4())
        submitted = await conversations.submit(
            owner=self.user,
            conversation_id=conversation_id,
            message=Message(
                message_id=message_id,
                text=message.content.text or "",
                schema_type=message.schema_type,
                workflow=message.workflow or self._workflow,
                metadata=self._metadata,
            ),
        )
        if feed is None:
            await self._follow(conversation_id, after=submitted.sequence - 1)
        message.id, message.conversation_id = message_id, conversation_id
        outcome = "duplicate" if submitted.duplicate else "accepted"
        await self._acknowledge(
            message, outcome, run_id=str(submitted.run), message_sequence=submitted.sequence
        )

    async def _answer(self, message: InteractionMessage) -> None:
        text = message.content.text if message.content else None
        if text is None and message.values is None:
            raise Refusal("invalid_message", "The answer has neither a text nor values.")
        conversation_id = message.conversation_id or self._conversation_id
        if conversation_id is not None:
            await self._follow(conversation_id)
        settled = await conversations.answer(
            user=self.user,
            conversation_id=conversation_id,
            answer=Answer(
                answer_id=message.id or str(uuid4()),
                value=text,
                values=message.values,
                interaction=message.interaction_id,
                names=[name for name in (message.id, message.thread_id) if name],
                version=message.version,
            ),
        )
        await self._acknowledge(message, settled.outcome.value, content=_settled(settled))

    async def _stop(self, message: StopMessage) -> None:
        """Acknowledged when the runs have really ended."""
        conversation_id = message.conversation_id or self._conversation_id
        if conversation_id is None:
            raise Refusal("invalid_message", "Name the conversation_id whose runs are to stop.")
        await self._follow(conversation_id)
        try:
            runs = await conversations.stop(
                owner=self.user, conversation_id=conversation_id, run=message.run_id
            )
        except NotFound:
            await self._acknowledge(message, "not_found")
            return
        feed = self._feed_of(message)
        content = {"runs": [str(run) for run in runs]}
        await feed.send_when_ended(runs, self._ack(message, "accepted", content=content))

    def _feed_of(self, message: ClientMessage) -> Feed:
        """The feed of the conversation that a message is about."""
        name = message.conversation_id or self._conversation_id
        conversation = self._ids.get(name) if name else None
        if conversation is None:
            raise Refusal("invalid_message", "This socket follows no such conversation.")
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
            await self._join(conversation)
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
        try:
            await self.layer.group_discard(group_name(conversation), self.channel)
        except Exception as error:  # noqa: BLE001 - whatever the layer raises: it forgets by itself
            log.warning("socket.layer_failed", error=repr(error))
        if last and feed.started:
            await cursors.keep(conversation, self.user, feed.cursor)

    async def _join(self, conversation: UUID) -> None:
        try:
            await self.layer.group_add(group_name(conversation), self.channel)
        except Exception as error:  # noqa: BLE001 - whatever the layer raises: the sweeper makes up
            log.warning("socket.layer_failed", error=repr(error))

    async def _acknowledge(self, message: ClientMessage, outcome: str, **fields: Any) -> None:
        await self.send_text(dump(self._ack(message, outcome, **fields)))

    def _ack(self, message: ClientMessage, outcome: str, **fields: Any) -> Frame:
        parent = getattr(message, "parent_id", None) or message.id
        return reply(
            "ack_message",
            conversation_id=message.conversation_id or self._conversation_id,
            parent_id=parent,
            **{"for": message.id, "outcome": outcome},
            **fields,
        )

    async def _reply(self, type_: str, message: ClientMessage) -> None:
        frame = reply(
            type_,
            conversation_id=message.conversation_id or self._conversation_id,
            parent_id=message.id,
            **{"for": message.id},
        )
        await self.send_text(dump(frame))

    async def _refuse(self, refusal: Refusal) -> None:
        content = {"code": refusal.code, "message": str(refusal), "details": refusal.details}
        frame = reply(
            "error_message",
            conversation_id=refusal.conversation_id or self._conversation_id,
            parent_id=refusal.parent,
            content=content,
            **{"for": refusal.about},
        )
        await self.send_text(dump(frame))


def _lost(after: int, last: int) -> Refusal:
    return Refusal(
        "invalid_message",
        f"The log ends at {last}: there is no last_sequence {after}. What waits for you and what "
        "comes from now on is sent; load the conversation anew to see the rest.",
        last_sequence=last,
        recovered=False,
    )


def _settled(settled: Settled) -> Frame | None:
    """What stands, for whoever was too late."""
    if settled.interaction is None:
        return None
    return {
        "interaction_id": str(settled.interaction),
        "status": settled.status,
        "response": settled.response,
        "by": settled.by,
        "at": timestamp(settled.at) if settled.at else None,
        "via": settled.via,
    }

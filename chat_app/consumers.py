"""The chat's WebSocket consumer: per frame one function call, one acknowledgement. No ORM here."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Any
from uuid import uuid4

from channels.consumer import AsyncConsumer, get_handler_name
from channels.exceptions import StopConsumer
from django.db import Error
from django.utils import translation
from django.utils.translation import pgettext

from chat_app import identity
from chat_app.feed.limits import CloseSocket
from chat_app.feed.sweeper import pass_news, recheck, sweeper
from chat_app.identity import audit
from chat_app.identity.request_facts import address_of, language_of, request_of
from chat_app.inbox.pending_counts import waiting_counts
from chat_app.peer.plain_feed import PlainFeed
from chat_app.rates import change_claim, submit
from chat_app.socket.authentication import Authentication
from chat_app.socket.connection import Connection, Receive, read_frame
from chat_app.socket.flow_control import PONGS
from chat_app.socket.subscriptions import Subscriptions
from chat_app.wire import client_messages as client
from chat_app.wire.parsing import Refusal, check_query, read_beginning, refusal_of
from chat_app.wire.replies import (
    acknowledgement,
    claimed_content,
    not_accepted,
    pong,
    settled_content,
    submitted_content,
)
from sessions_app.conversations import stops
from sessions_app.conversations.messages import IncomingMessage, SubmittedMessage
from sessions_app.errors import NotFound, StorageUnavailable, TooMany
from sessions_app.interactions import answers
from sessions_app.interactions.answers import TAKEN, IncomingAnswer, Outcome
from sessions_app.json_types import JsonObject
from sessions_app.logs import Log
from sessions_app.notify.groups import channel_layer
from sessions_app.storage.faults import is_fault
from sessions_app.workflows.request_context import RequestMetadata

Message = JsonObject

log = Log(__name__)

# Messages that stand for a person's action, so clients never send them automatically. The person's
# identity must still be valid.
BY_A_PERSON = (
    client.UserMessage,
    client.InteractionMessage,
    client.ClaimMessage,
    client.StopMessage,
)

# Seconds in which a plain client (one that speaks only NAT's protocol) may send its first message.
# After HOLD the server sends missed events, after HOLD_OUTPUT missed output, which the client would
# show as the answer. NAT's UI sends a message one network round trip after its socket opens.
HOLD = 0.3
HOLD_OUTPUT = 2.0
# Seconds of delay between the frames of a client over a rate limit, which protects other clients.
OVER_A_LIMIT = 0.1


class ChatConsumer(AsyncConsumer):
    """The consumer of a user's socket, which follows each conversation that a message names."""

    async def websocket_connect(self, message: Message) -> None:
        """Accept the socket, or reject the handshake, which the client sees as HTTP 403."""
        is_encrypted = identity.is_encrypted_enough(self.scope)
        if is_encrypted and not identity.origin_allowed(self.scope):
            audit.log_refused_origin(request_of(self.scope))  # other sites must not use our cookies
        elif is_encrypted:
            await self.send({"type": "websocket.accept"})
            return
        await self.send({"type": "websocket.close"})
        raise StopConsumer

    async def websocket_receive(self, message: Message) -> None:
        """Queue a received frame; `handle` gets the frames in order."""
        text = message.get("text")
        self._connection.take(text, len(text or message.get("bytes") or ""))

    async def websocket_disconnect(self, message: Message) -> None:
        """End the socket after the client's earlier messages are handled."""
        self._connection.disconnect()

    async def conversation_news(self, message: Message) -> None:
        """Send the events that a channel-layer message has announced for a conversation."""
        await pass_news(self._subscriptions, message["news"])

    async def conversation_look(self, message: Message) -> None:
        """Check all subscriptions and the identity after a message of the channel layer.

        Reasons for the message: a conversation was deleted, the channel was full, or the identity
        may have ended.
        """
        await recheck(self._subscriptions)

    messages_lost = identity_check = conversation_look

    async def handle(self, message: client.ClientMessage) -> None:
        """Carry out a message of the client."""
        if isinstance(message, BY_A_PERSON):
            await self._authentication.authorise(type(message))
        match message:
            case client.UserMessage():
                await self._submit(message)
            case client.InteractionMessage():
                await self._answer(message)
            case client.ClaimMessage():
                await self._claim(message)
            case client.StopMessage():
                await self._stop(message)
            case client.AckMessage():
                feed = self._subscriptions.feed_of(message.conversation_id)
                await feed.acknowledge(message.sequence)
            case client.PingMessage():
                await self._connection.send(pong(message))
            case client.AuthMessage():
                await self._authentication.authenticate(message)
            case client.OAuthModePreference():
                pass

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve the socket until it is closed.

        This replaces channels' loop, which handles one event at a time: a client that does not read
        would block its own messages, which servers queue without a limit. That loop also creates a
        task per message, which takes 15 µs instead of 5.
        """
        self.scope, self.base_send = scope, send
        self.channel_layer = channel_layer()
        self.channel_name = await self.channel_layer.new_channel()
        self._query, self._wrong = check_query(RequestMetadata.of_scope(scope).query_params)
        self._conversation_id = self._query.conversation_id
        self._metadata: JsonObject = {}
        self._address = ""
        self._receive: Receive = receive
        self._connection = Connection(receive, send, self._query, self._handle_frame)
        self._authentication = Authentication(self, self._connection)
        self._subscriptions = Subscriptions(self, self._connection, self._authentication)
        if (pongs := (scope.get("extensions") or {}).get(PONGS)) is not None:
            pongs.heard = self._subscriptions.note_pong
        with suppress(StopConsumer):
            await self.dispatch(await receive())
            await self._live()

    async def dispatch(self, message: Message) -> None:
        """Call the method for the message's type; ignore unknown types, as of other versions.

        This replaces channels' method, which first closes old database connections, in one thread
        for all sockets: that takes 100 µs instead of 5, or as long as the slowest query. No method
        here uses a database connection; only `storage` does.
        """
        method = getattr(self, get_handler_name(message), None)
        if method is None:
            log.warning("socket.unknown_message", type=message["type"])
        else:
            await method(message)

    async def _live(self) -> None:
        if self._query.extended:  # send error texts in the language of the page's reader
            translation.activate(language_of(self.scope))
        sweeper.add(self._subscriptions)
        try:
            reason = await self._connection.live(
                self._from_client,
                self._from_layer,
                self._subscriptions.watch_wakes,
                self._serve_client,
            )
        finally:
            await self._subscriptions.close()
            await self._authentication.end()
            self._connection.share.release()
        await self._connection.close(reason)

    async def _from_client(self) -> None:
        while not self._connection.gone.is_set():
            await self.dispatch(await self._receive())

    async def _from_layer(self) -> None:
        while True:
            await self.dispatch(await self.channel_layer.receive(self.channel_name))

    async def _submit(self, message: client.UserMessage) -> None:
        message.id = message.id or str(uuid4())
        if message.conversation_id is None:
            message.conversation_id = self._conversation_id = str(uuid4())
        name = message.conversation_id
        store = partial(
            submit,
            owner=self._authentication.person.id,
            address=self._address,
            conversation_id=name,
            message=IncomingMessage(
                message_id=message.id,
                text=message.content.text or "",
                client_format=message.schema_type,
                workflow=message.workflow or self._query.workflow,
                metadata=self._metadata,
                files=tuple(message.file_ids),
                second_message="enqueue" if self._query.extended else "interrupt",
                replaces=message.replaces,
                follows=message.follows,
            ),
        )
        if not self._query.extended:
            await self._submit_plain(name, store)
            return
        feed = await self._subscriptions.follow(name)
        try:
            submitted_message = await store()
            if feed is None:  # new conversation: send all events, even those from another tab
                await self._subscriptions.follow(name, after=0)
        except (Error, StorageUnavailable):
            if feed is None:  # the message may be stored even so: then follow the conversation
                self._subscriptions.awaited_names.add(name)
            raise
        outcome = "duplicate" if submitted_message.duplicate else "accepted"
        ack = acknowledgement(message, outcome, submitted_content(submitted_message))
        await self._connection.send(ack)

    async def _submit_plain(
        self, conversation_id: str, store: Callable[[], Awaitable[SubmittedMessage]]
    ) -> None:
        """Store a plain client's message before anything else is sent to the client.

        The client would take an event sent earlier for the answer. Pending prompts are sent
        afterwards, even if the message is refused.
        """
        feed = self._subscriptions.find_feed(conversation_id)
        if isinstance(feed, PlainFeed):
            await feed.submit(store)
            return
        after = None
        try:
            submitted_message = await store()
            if not submitted_message.duplicate:
                after = submitted_message.sequence - 1
        finally:
            await self._subscriptions.follow(conversation_id, after=after)

    async def _answer(self, message: client.InteractionMessage) -> None:
        feed = None
        if message.conversation_id is not None:
            feed = await self._subscriptions.follow(message.conversation_id)
        incoming_answer = IncomingAnswer(
            answer_id=message.id or str(uuid4()),
            via=self._via,
            answer=message.answer,
            interaction=message.interaction_id,
            names=[name for name in (message.id, message.thread_id) if name],
            version=message.version,
        )
        if isinstance(feed, PlainFeed):
            answer_result = await feed.answer(incoming_answer)
        else:
            answer_result = await answers.answer(
                by=self._authentication.person,
                conversation_id=message.conversation_id,
                answer=incoming_answer,
                sent=None if feed is None else feed.sent_prompts,
            )
        if self._query.extended:
            ack = acknowledgement(message, answer_result.outcome, settled_content(answer_result))
            await self._connection.send(ack)
        elif answer_result.outcome not in TAKEN:
            raise not_accepted(message, answer_result)

    async def _claim(self, message: client.ClaimMessage) -> None:
        try:
            claim_state = await change_claim(
                message.change,
                message.interaction_id,
                to=message.to,
                note=message.note,
                by=self._authentication.person,
                via=self._via,
            )
        except NotFound:
            await self._connection.send(acknowledgement(message, Outcome.NOT_FOUND))
            return
        content = claimed_content(message.interaction_id, claim_state)
        await self._connection.send(acknowledgement(message, claim_state.outcome, content))

    @property
    def _via(self) -> str:
        """The entry point that is recorded with this socket's answers: `inbox` or `websocket`."""
        query = self._query
        is_inbox = query.waiting == "inbox" and query.conversation_id is None
        return "inbox" if is_inbox else "websocket"

    async def _stop(self, message: client.StopMessage) -> None:
        """Stop runs, and acknowledge once the runs have ended."""
        if message.conversation_id is not None:
            await self._subscriptions.follow(message.conversation_id)
        try:
            feed = self._subscriptions.feed_of(message.conversation_id)
            runs = await stops.stop(
                owner=self._authentication.person.id,
                conversation_id=feed.conversation_id,
                run=message.run_id,
            )
        except NotFound:
            await self._connection.send(acknowledgement(message, "not_found"))
            return
        ack = acknowledgement(message, "accepted", {"runs": [str(run) for run in runs]})
        await feed.send_when_ended(runs, ack)

    async def _serve_client(self) -> None:
        try:
            await self._establish()
        except (Error, StorageUnavailable) as error:
            if not is_fault(error):
                raise
            log.warning("socket.database_gone", error=str(error))
            raise CloseSocket(4503, "the database does not answer; come back") from None
        while True:
            await self._connection.handle_next(self._handle_frame)

    async def _establish(self) -> None:
        """Establish the client's identity and address; follow the conversation named in the URL."""
        await self._authentication.establish()
        self._metadata = identity.metadata(self.scope)
        self._address = address_of(request_of(self.scope))
        for refusal in self._wrong:
            await self._refuse(refusal)
        if self._query.extended and self._query.waiting:
            self._subscriptions.all_waiting = self._query.waiting == "inbox"
            waiting_counts.add(self._subscriptions)
        if not self._query.extended and self._query.last_sequence is None:
            await self._handle_first_messages()
        if (name := self._query.conversation_id) is not None:
            feed = await self._subscriptions.follow(name, after=self._query.last_sequence)
            if feed is None:
                self._subscriptions.awaited_names.add(name)

    async def _handle_first_messages(self) -> None:
        """Wait a moment for a plain client's first messages before missed events are sent."""
        clock = asyncio.get_running_loop().time
        begin = clock()
        await self._handle_messages_until(begin + HOLD)
        name = self._query.conversation_id
        if name is not None and await self._subscriptions.is_behind(name):
            await self._handle_messages_until(begin + HOLD_OUTPUT)

    async def _handle_messages_until(self, end: float) -> None:
        """Handle messages until `end` (in event loop time), or until a conversation is followed."""
        clock = asyncio.get_running_loop().time
        while not self._subscriptions.feeds and (seconds := end - clock()) > 0:
            if await self._connection.has_frame(seconds):
                await self._connection.handle_next(self._handle_frame)

    async def _handle_frame(self, text: str | None) -> None:
        """Carry out a frame, or send the error; the socket stays open in both cases."""
        message: client.ClientMessage | None = None
        try:
            message = await read_frame(text, self._authentication.person.id)
            message.conversation_id = message.conversation_id or self._conversation_id
            await self.handle(message)
        except CloseSocket:
            raise
        except Refusal as refusal:
            await self._refuse(refusal)
        except Exception as error:
            if isinstance(message, client.InteractionMessage) and is_fault(error):
                await self._show_again(message.conversation_id)
            refusal_to_send = refusal_of(
                error, answer=isinstance(message, client.InteractionMessage)
            )
            if refusal_to_send is None:
                log.exception("socket.failed", type=type(message).__name__)
                refusal_to_send = Refusal(
                    "unknown_error", pgettext("hitl", "Something went wrong here. Send it again.")
                )
            refusal_to_send.about_message(message)
            if message is None:
                refusal_to_send.about_frame(read_beginning(text or ""))
            await self._refuse(refusal_to_send)
            if isinstance(error, TooMany):
                if message is None:  # error: the user has sent too many bytes
                    raise CloseSocket(4429, str(error)) from None
                await self._connection.pause(OVER_A_LIMIT)

    async def _show_again(self, conversation_id: str | None) -> None:
        """Send a plain client the prompt again after its answer could not be stored."""
        feed = self._subscriptions.find_feed(conversation_id or "")
        if isinstance(feed, PlainFeed):
            await feed.show_again()

    async def _refuse(self, refusal: Refusal) -> None:
        refusal.conversation_id = refusal.conversation_id or self._conversation_id
        await self._connection.refuse(refusal)

"""A socket of somebody: who it is, and that it still may be here."""

import asyncio
import time
from uuid import UUID

import structlog
from django.db import DatabaseError

from chat_app import identity, revocation
from chat_app.allowance import CloseSocket
from chat_app.base_consumer import Scope, Send, SocketConsumer
from chat_app.client_messages import AuthMessage
from chat_app.feed import Feed
from chat_app.frames import Frame, dump
from chat_app.identity import BadCredentials, Identity
from chat_app.protocol import Refusal, parse
from chat_app.replies import auth_error, auth_success, refused
from chat_app.sweeper import sweeper
from sessions_app import database
from sessions_app.notify import LOST
from sessions_app.people import Person

log = structlog.get_logger(__name__)

# Seconds that a socket of nobody may take to say who it is.
PATIENCE = 5.0
# Wrong credentials of one socket.
TRIES = 3


class IdentifiedConsumer(SocketConsumer):
    """Knows its person before it does anything, and ends with what the identity stands on."""

    def __init__(self, scope: Scope, send: Send) -> None:
        super().__init__(scope, send)
        self.user = 0
        self.person = Person(0, "")
        self.identity: Identity | None = None
        self.feeds: dict[UUID, Feed] = {}
        self.awaited: set[str] = set()
        self._failures = 0
        self._authorised_at = float("-inf")

    def admits(self) -> bool:
        """A page of another site may not use the cookies of this one."""
        return identity.origin_allowed(self.scope)

    async def opened(self) -> None:
        """Find out who it is, then begin."""
        sweeper.add(self)
        try:
            found = await identity.identity_of_scope(self.scope)
        except BadCredentials as error:
            raise CloseSocket(error.close_code, str(error)) from None
        if found is not None:
            await self._be(found)
        else:
            await self._await_credentials()
        await self.begin()

    async def begin(self) -> None:
        """The person is known."""
        raise NotImplementedError

    async def left(self) -> None:
        """The socket is closed."""
        await sweeper.remove(self)

    async def heard(self, message: Frame) -> None:
        """The identity may have ended, or messages were lost: that one, or news of a feed."""
        try:
            await self.authorise()
            if message == LOST:
                await sweeper.look(self)
        except DatabaseError as error:  # the sweeper comes back to it
            log.warning("socket.not_checked", error=str(error))

    async def authorise(self, *, within: float = 0.0) -> None:
        """Look whether the identity still holds, unless that was done `within` so many seconds.

        Raises:
            CloseSocket: it does not.
        """
        if time.monotonic() - self._authorised_at < within:
            return
        mine = [self.identity] if self.identity else []
        if not await database.read(identity.still_valid, mine):
            raise CloseSocket(4401, "signed out")
        self._authorised_at = time.monotonic()

    async def authenticate(self, message: AuthMessage) -> None:
        """Answer an `auth_message`. Who is somebody already can only be told that it is the same.

        Raises:
            CloseSocket: too many wrong tries.
        """
        try:
            found = await identity.sign_in(message.payload)
        except BadCredentials as error:
            await self.send_text(dump(auth_error(message, str(error))))
            self._fail()
            return
        if self.identity is not None and found.person.id != self.user:
            reason = "This connection is somebody else's already. Open another."
            await self.send_text(dump(auth_error(message, reason)))
            return
        if self.identity is None:
            await self._be(found)
        await self.send_text(dump(auth_success(message, found.person)))

    async def _be(self, found: Identity) -> None:
        self.identity, self.person, self.user = found, found.person, found.person.id
        await self.ear.join(revocation.group_of(self.user))

    async def _await_credentials(self) -> None:
        try:
            async with asyncio.timeout(PATIENCE):
                while self.identity is None:
                    await self._take_credentials(await self.next_frame())
        except TimeoutError:
            raise CloseSocket(4401, "not signed in") from None

    async def _take_credentials(self, text: str | None) -> None:
        """Whatever else comes before the identity ends the socket."""
        try:
            message = parse(text)
        except Refusal as refusal:
            if refusal.type != "auth_message":
                raise CloseSocket(4401, "not signed in") from None
            await self.send_text(dump(refused(refusal)))
            self._fail()
            return
        if not isinstance(message, AuthMessage):
            raise CloseSocket(4401, "not signed in")
        await self.authenticate(message)

    def _fail(self) -> None:
        self._failures += 1
        if self._failures >= TRIES:
            raise CloseSocket(4401, "too many wrong credentials")

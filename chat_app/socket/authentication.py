"""The authentication of a socket's person, at the start and again before later actions."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from typing import Any

from channels.consumer import AsyncConsumer

from chat_app import identity
from chat_app.feed.limits import CloseSocket
from chat_app.identity import (
    BadCredentials,
    Identity,
    audit,
    identities,
    revocation,
    session_timeouts,
)
from chat_app.identity.prompt_links import prompt_link
from chat_app.identity.request_facts import address_of, guest_token, request_of
from chat_app.rates import ConnectionSlot, acquire_socket
from chat_app.socket.connection import Connection
from chat_app.wire.client_messages import AuthMessage, ClientMessage, ConsentMode
from chat_app.wire.parsing import Refusal, parse, refusal_of
from chat_app.wire.replies import auth_error, auth_success
from sessions_app.errors import TooMany
from sessions_app.models.people import Person
from sessions_app.workflows.request_context import RequestMetadata

# Seconds within which a new socket must authenticate.
AUTHENTICATION_TIMEOUT = 5.0
# Number of wrong credentials after which a socket is closed.
TRIES = 3
# Caches of identity checks, by message type: a check for a text message is not reused for an
# answer, because answers approve actions.
_checks: defaultdict[type[ClientMessage], identities.IdentityChecks] = defaultdict(
    identities.IdentityChecks
)


class Authentication:
    """The keeper of a socket's identity, which must be known before other messages are handled."""

    def __init__(self, consumer: AsyncConsumer, connection: Connection) -> None:
        self.identity: Identity | None = None
        self.person = Person(0, "")
        self._consumer = consumer
        self._scope: Any = consumer.scope
        self._connection = connection
        self._slots: list[ConnectionSlot] = []
        self._failures = 0
        self._authorised_at: dict[type[ClientMessage], float] = {}

    def link(self, interaction: str) -> str:
        """Return the absolute URL of an interaction's page, which this person can open."""
        return prompt_link(self._scope, self.person, interaction)

    async def establish(self) -> None:
        """Determine the identity: by the handshake's credentials, or by the client's first message.

        Raises:
            CloseSocket: the person has no access, or too many sockets.
        """
        address = address_of(request_of(self._scope))
        await self._acquire_slot(partial(acquire_socket, address=address))
        try:
            found_identity = await identity.identity_of_scope(self._scope)
        except BadCredentials as error:
            raise CloseSocket(error.close_code, str(error)) from None
        except TooMany as error:
            raise CloseSocket(4429, str(error)) from None
        if found_identity is not None:
            await self._set_identity(found_identity)
        else:
            await self._await_credentials()

    async def authorise(self, type_: type[ClientMessage]) -> None:
        """Check the identity before an action of the person, and extend the session.

        A check within the last second for the same message type is reused.

        Raises:
            CloseSocket: the identity has ended.
        """
        if time.monotonic() - self._authorised_at.get(type_, float("-inf")) < identities.GOOD_FOR:
            return
        current = self.identity
        held_at = None if current is None else await _checks[type_].held_at(current)
        if current is None or held_at is None:
            raise CloseSocket(4401, "signed out")
        self._authorised_at[type_] = held_at
        if current.session is not None:
            await session_timeouts.extend(self._scope["session"])

    async def authenticate(self, message: AuthMessage) -> None:
        """Handle an `auth_message`. A socket that has an identity accepts only the same person's.

        Raises:
            CloseSocket: there were too many wrong credentials.
        """
        if isinstance(message.payload, ConsentMode):  # no sign-in: NAT's web UI always sends this
            return
        try:
            signed_in = await identity.sign_in(message.payload, request_of(self._scope))
        except (BadCredentials, TooMany) as error:
            details = {"retry_after": error.seconds} if isinstance(error, TooMany) else {}
            await self._connection.send(auth_error(message, str(error), details))
            self._fail()
            return
        if self.identity is not None and signed_in.person.id != self.person.id:
            reason = "This connection belongs to someone else already. Open another."
            await self._connection.send(auth_error(message, reason))
            return
        if self.identity is None:
            await self._set_identity(signed_in)
        await self._connection.send(auth_success(message, signed_in.person))

    async def end(self) -> None:
        """Leave the user's group and release the slots, after the end of the socket."""
        if self.identity is not None:
            group = revocation.group_of(self.person.id)
            await self._consumer.channel_layer.group_discard(group, self._consumer.channel_name)
        for slot in self._slots:
            slot.release()

    async def _acquire_slot(self, acquire: Callable[[], ConnectionSlot]) -> None:
        try:
            self._slots.append(acquire())
        except TooMany as error:
            if refusal := refusal_of(error):
                await self._connection.refuse(refusal)
            raise CloseSocket(4429, str(error)) from None

    async def _set_identity(self, new_identity: Identity) -> None:
        await self._check_page(new_identity.person)
        await self._acquire_slot(partial(acquire_socket, user=new_identity.person.id))
        self.identity, self.person = new_identity, new_identity.person
        self._connection.share.belong_to(new_identity.person.id)
        group = revocation.group_of(new_identity.person.id)
        await self._consumer.channel_layer.group_add(group, self._consumer.channel_name)

    async def _check_page(self, person: Person) -> None:
        """Refuse a page that was made for another person than the one who is signed in now."""
        if self._connection.query.person in (None, str(person.id)):
            return
        reason = "This page was made for another person."
        refusal = Refusal("user_auth_error", reason, signed_in_as=person.username)
        await self._connection.refuse(refusal)
        raise CloseSocket(4401, "signed in as another person")

    async def _await_credentials(self) -> None:
        try:
            async with asyncio.timeout(AUTHENTICATION_TIMEOUT):
                while self.identity is None:
                    await self._take_credentials(await self._connection.next_frame())
        except TimeoutError:
            raise self._build_unidentified_error() from None

    async def _take_credentials(self, text: str | None) -> None:
        """Read credentials; any other message before the authentication ends the socket."""
        try:
            message = parse(text)
        except Refusal as refusal:
            if refusal.type != "auth_message":
                raise self._build_unidentified_error() from None
            await self._connection.refuse(refusal)
            self._fail()
            return
        if not isinstance(message, AuthMessage):
            raise self._build_unidentified_error()
        await self.authenticate(message)

    def _build_unidentified_error(self) -> CloseSocket:
        came = RequestMetadata.of_scope(self._scope)
        guest = guest_token(came.cookies, came.query_params) is not None
        audit.log_missing_identity(request_of(self._scope), guest=guest)
        return CloseSocket(4401, "not signed in")

    def _fail(self) -> None:
        self._failures += 1
        if self._failures >= TRIES:
            raise CloseSocket(4401, "too many wrong credentials")

"""Telling a client what was not carried out."""

from chat_app.peer.plain_frames import plain_error
from chat_app.socket.connection import Connection
from chat_app.wire.client_messages import Query
from chat_app.wire.parsing import Refusal
from chat_app.wire.replies import refused

# What the peer's clients call a conversation that they have not named.
UNNAMED = "default"


class Refusals:
    """Goes to one socket."""

    def __init__(self, connection: Connection, query: Query) -> None:
        self._connection = connection
        self._query = query

    async def tell(self, refusal: Refusal) -> None:
        """Send it. A plain client passes over no error that names no conversation."""
        refusal.conversation_id = refusal.conversation_id or self._query.conversation_id
        if self._query.extended:
            await self._connection.send(refused(refusal))
        else:
            refusal.conversation_id = refusal.conversation_id or UNNAMED
            await self._connection.send(plain_error(refused(refusal)))

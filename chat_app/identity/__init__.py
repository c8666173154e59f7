"""The identity of a connection, from the credentials of a socket or of an HTTP request.

The first of these applies: the Django session; `Authorization: Bearer` (JWT or API key) or
`X-API-Key`; a guest's token, if guests are allowed; on a socket, an `auth_message`.
"""

from chat_app.identity.identities import BadCredentials, Identity, NotAllowed, still_valid
from chat_app.identity.request_facts import is_encrypted_enough, metadata, origin_allowed
from chat_app.identity.sign_in import find_identity, identity_of_scope, sign_in

__all__ = [
    "BadCredentials",
    "Identity",
    "NotAllowed",
    "find_identity",
    "identity_of_scope",
    "is_encrypted_enough",
    "metadata",
    "origin_allowed",
    "sign_in",
    "still_valid",
]

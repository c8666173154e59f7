"""Guests: people without an account, known by the token that their client keeps."""

import hashlib
from typing import Any

from chat_app.identity.errors import BadCredentials
from chat_app.identity.users import find_or_create

# Whoever knows a token is its guest, so it must not be one that can be guessed.
SHORTEST, LONGEST = 8, 4096


async def guest_user(token: str) -> Any:
    """The user of a guest's token, made at its first use.

    Raises:
        BadCredentials: the token is too short to be a secret, or far too long.
    """
    if not SHORTEST <= len(token) <= LONGEST:
        raise BadCredentials(f"A guest's session token has {SHORTEST} to {LONGEST} characters.")
    digest = hashlib.sha256(token.encode(errors="surrogatepass")).hexdigest()
    return await find_or_create(f"guest-{digest[:40]}")

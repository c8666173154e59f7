"""Tokens of an issuer that shares a secret with us."""

import time
from typing import Any

import jwt

SECRET = "a-secret-that-is-long-enough-for-hs256"
AUDIENCE = "https://chat.example"


def token(**claims: Any) -> str:
    """Return a token for `ann`, for a minute, unless the claims say otherwise. None leaves one
    out.
    """
    claims = {"sub": "ann", "aud": AUDIENCE, "exp": int(time.time()) + 60, **claims}
    return jwt.encode({k: v for k, v in claims.items() if v is not None}, SECRET)

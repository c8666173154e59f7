"""JSON Web Tokens, by PyJWT: signature, audience, expiry and issuer are its business."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import jwt
import structlog
from django.conf import settings

from chat_app.identity.errors import BadCredentials
from chat_app.identity.identities import Identity
from chat_app.identity.users import LONGEST_NAME, find, find_or_create
from sessions_app.people import Person

log = structlog.get_logger(__name__)

LEEWAY = 10  # seconds that clocks may differ
JWKS_TIMEOUT = 5  # seconds for the key server


@dataclass(frozen=True, slots=True)
class JwtSettings:
    """What a token is checked against. One of `key` and `jwks_url` is set, and an audience."""

    key: str
    jwks_url: str
    audience: tuple[str, ...]
    issuer: str | None
    algorithms: tuple[str, ...]
    username_claim: str
    create_users: bool

    @classmethod
    def load(cls) -> "JwtSettings | None":
        """Those of the project; None where no tokens are taken."""
        if not (settings.JWT_KEY or settings.JWT_JWKS_URL):
            return None
        return cls(
            settings.JWT_KEY,
            settings.JWT_JWKS_URL,
            tuple(settings.JWT_AUDIENCE),
            settings.JWT_ISSUER or None,
            tuple(settings.JWT_ALGORITHMS),
            settings.JWT_USERNAME_CLAIM,
            settings.JWT_CREATE_USERS,
        )


async def jwt_identity(token: str) -> Identity:
    """The identity that a token gives; it ends when the token expires.

    Raises:
        BadCredentials: it is none that is taken here; says why in words for a client.
        NotAllowed: it is good, but its user is not one of ours or was deactivated.
    """
    expected = JwtSettings.load()
    if expected is None:
        raise BadCredentials("Tokens of this kind are not taken here.")
    claims = await _verify(token, expected)
    username = claims.get(expected.username_claim)
    if (
        not isinstance(username, str)
        or not username.isprintable()
        or not (1 <= len(username) <= LONGEST_NAME)
    ):
        raise BadCredentials(f"The token's {expected.username_claim} is no user name.")
    until = _end(claims)
    user = await (find_or_create(username) if expected.create_users else find(username))
    return Identity(Person.of(user), until=until)


async def _verify(token: str, expected: JwtSettings) -> dict[str, Any]:
    try:
        if expected.jwks_url:
            # It fetches keys that it does not have.
            key: Any = await asyncio.to_thread(_signing_key, expected.jwks_url, token)
        else:
            key = expected.key
        return jwt.decode(
            token,
            key,
            algorithms=list(expected.algorithms),
            audience=list(expected.audience),
            issuer=expected.issuer,
            leeway=LEEWAY,
            options={"require": ["exp", "aud"]},
        )
    except jwt.PyJWKClientConnectionError as error:
        log.warning("jwt.keys_not_fetched", error=str(error))
        raise BadCredentials("Tokens cannot be checked at the moment. Try again.") from None
    except jwt.ExpiredSignatureError:
        raise BadCredentials("The token has expired. Get a new one.") from None
    except jwt.InvalidAudienceError:
        raise BadCredentials("The token is for another audience.") from None
    except (jwt.PyJWTError, OverflowError, ValueError) as error:
        log.info("jwt.refused", error=str(error))
        raise BadCredentials("The token is not valid.") from None


def _end(claims: dict[str, Any]) -> datetime:
    try:
        return datetime.fromtimestamp(int(claims["exp"]) + LEEWAY, UTC)
    except (OverflowError, ValueError, OSError):  # a number, and no time
        raise BadCredentials("The token is not valid.") from None


def _signing_key(url: str, token: str) -> Any:
    return _jwks(url).get_signing_key_from_jwt(token).key


@lru_cache(maxsize=4)
def _jwks(url: str) -> jwt.PyJWKClient:
    return jwt.PyJWKClient(url, cache_keys=True, timeout=JWKS_TIMEOUT)

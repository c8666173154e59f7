"""JSON Web Tokens: PyJWT checks signature, audience, expiry and issuer."""

import asyncio
import json
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import lru_cache
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError
from urllib.request import HTTPRedirectHandler, build_opener

import jwt

from chat_app.identity.identities import BadCredentials, Identity
from chat_app.identity.users import find, find_or_create, longest_name
from chat_app.settings import ChatSettings
from sessions_app.json_types import JsonObject
from sessions_app.logs import Log
from sessions_app.models.people import Person

log = Log(__name__)

LEEWAY = 10  # maximum seconds by which clocks may differ
JWKS_TIMEOUT = 5  # seconds for the response of the key server
MAX_KEY_SET, PIECE_BYTES = 2**20, 2**16  # maximum bytes of a key set, and of one read

# Use one thread: a key server that does not respond must not occupy the threads of runs' steps.
_key_executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="keys")


async def jwt_identity(token: str) -> Identity:
    """Return the identity of a token; the identity ends when the token expires.

    Raises:
        BadCredentials: the token is not accepted; the message is written for a client.
        NotAllowed: the token is valid, but its user is unknown or was deactivated.
    """
    chat = ChatSettings.load()
    if not chat.takes_jwt:
        raise BadCredentials("Tokens of this kind are not accepted here.")
    claims = await _verify(token, chat)
    username = claims.get(chat.JWT_USERNAME_CLAIM)
    if (
        not isinstance(username, str)
        or not username.isprintable()
        or not (1 <= len(username) <= longest_name())
    ):
        raise BadCredentials(f"The token's {chat.JWT_USERNAME_CLAIM} is not a user name.")
    until = _end(claims)
    user = await (find_or_create(username) if chat.JWT_CREATE_USERS else find(username))
    return Identity(Person.of(user), until=until)


async def _verify(token: str, chat: ChatSettings) -> JsonObject:
    try:
        if chat.JWT_JWKS_URL:
            keys = _jwks(chat.JWT_JWKS_URL)
            # PyJWT fetches unknown keys, and refreshes the whole set after some minutes.
            signing_key = await asyncio.get_running_loop().run_in_executor(
                _key_executor, keys.get_signing_key_from_jwt, token
            )
            key = signing_key.key
        else:
            key = chat.JWT_KEY
        return jwt.decode(
            token,
            key,
            algorithms=chat.JWT_ALGORITHMS,
            audience=chat.JWT_AUDIENCE,
            issuer=chat.JWT_ISSUER or None,
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
    except (jwt.PyJWTError, OverflowError, TypeError, ValueError) as error:
        log.info("jwt.refused", error=str(error))
        raise BadCredentials("The token is not valid.") from None


def _end(claims: JsonObject) -> datetime:
    try:
        return datetime.fromtimestamp(int(claims["exp"]) + LEEWAY, UTC)
    except (OverflowError, ValueError, OSError):  # refuse an expiry that is no possible date
        raise BadCredentials("The token is not valid.") from None


class KeyServer(jwt.PyJWKClient):
    """A client of a key server, which limits the size of the key set."""

    def fetch_data(self) -> Any:
        """Fetch the key set within a size and a time; PyJWT's own method limits neither.

        Raises:
            PyJWKClientConnectionError: there is no key set, or it is too slow or too large.
        """
        try:
            with build_opener(_NoRedirect).open(self.uri, timeout=self.timeout) as response:
                return json.loads(_read(response, time.monotonic() + self.timeout))
        except (OSError, HTTPException, ValueError) as error:
            if isinstance(error, HTTPError):
                error.close()
            raise jwt.PyJWKClientConnectionError(f"no key set: {error}") from error


class _NoRedirect(HTTPRedirectHandler):
    def redirect_request(self, *_args: Any, **_options: Any) -> None:
        """Refuse redirects: they may lead to addresses that only this machine can reach."""


def _read(response: Any, deadline: float) -> bytes:
    """Read the body of a response in pieces, as the client's timeout applies to one piece only."""
    body = b""
    while piece := response.read1(PIECE_BYTES):
        body += piece
        if len(body) > MAX_KEY_SET:
            raise ValueError(f"it has more than {MAX_KEY_SET:,} bytes")
        if time.monotonic() > deadline:
            raise TimeoutError("it takes too long")
    return body


@lru_cache(maxsize=4)
def _jwks(url: str) -> KeyServer:
    # Leave out `cache_keys`, which would cache even a revoked key for ever.
    return KeyServer(url, timeout=JWKS_TIMEOUT)

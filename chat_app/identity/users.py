"""Django's users, found or created by name, or by the token of a guest's client."""

import hashlib

from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.hashers import make_password

from chat_app.identity.identities import BadCredentials, NotAllowed
from chat_app.rates import Rate, rate_limits
from sessions_app.models.people import GUEST_PREFIX, users
from sessions_app.storage import reads
from sessions_app.storage.transaction import Transaction
from sessions_app.storage.writer import writer

# Allowed lengths of a guest's token, a secret that must be hard to guess.
MIN_TOKEN_LENGTH, MAX_TOKEN_LENGTH = 8, 4096


def longest_name() -> int:
    """Return the maximum length of a user name."""
    model = users().model
    return model._meta.get_field(model.USERNAME_FIELD).max_length or 254  # noqa: SLF001 - documented


async def find(username: str) -> AbstractBaseUser:
    """Find the active user of a name.

    Raises:
        NotAllowed: there is no such user, or the user was deactivated.
    """
    return _active(await reads.read(_find, username))


async def find_or_create(username: str, *rates: tuple[Rate, object]) -> AbstractBaseUser:
    """Find the active user of a name, or create one without a usable password.

    Raises:
        NotAllowed: the user was deactivated.
        TooMany: there is no such user, and the rate limits allow no new one.
    """
    user = await reads.read(_find, username)
    if user is None:
        rate_limits.take(*rates)
    return _active(user or await writer.write(lambda tx: _create(tx, username)))


async def guest_user(token: str, *, address: str) -> AbstractBaseUser:
    """Return the user of a guest's token, created at the token's first use.

    Raises:
        TooMany: too many new guests come from that address.
        BadCredentials: the token is too short to be a secret, or far too long.
    """
    if not MIN_TOKEN_LENGTH <= len(token) <= MAX_TOKEN_LENGTH:
        raise BadCredentials(
            f"A guest's session token has {MIN_TOKEN_LENGTH} to {MAX_TOKEN_LENGTH} characters."
        )
    digest = hashlib.sha256(token.encode(errors="surrogatepass")).hexdigest()
    return await find_or_create(f"{GUEST_PREFIX}{digest[:40]}", (Rate.GUESTS_ADDRESS, address))


def _find(username: str) -> AbstractBaseUser | None:
    return users().filter(**{users().model.USERNAME_FIELD: username}).first()


def _create(tx: Transaction, username: str) -> AbstractBaseUser:
    user: AbstractBaseUser
    user, _ = users().get_or_create(
        **{users().model.USERNAME_FIELD: username}, defaults={"password": make_password(None)}
    )
    return user


def _active(user: AbstractBaseUser | None) -> AbstractBaseUser:
    if user is None or not user.is_active:
        raise NotAllowed("The owner of these credentials has no access here.")
    return user

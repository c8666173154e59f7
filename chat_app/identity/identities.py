"""An identity: a person and the credential behind it. Both may end while a connection lives.

The reasons of a refusal are shown to clients, so they contain no user name and no secret.
"""

import asyncio
import time
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime
from importlib import import_module

from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.sessions.backends import signed_cookies
from django.utils import timezone

from chat_app.models import ApiKey
from sessions_app.models.people import Person, session_model, users
from sessions_app.storage import reads

IDS_PER_QUERY = 500  # maximum number of ids in one query
# Seconds for which a check of an identity is valid. After that, a signed-out user can neither send
# nor approve, even if the message about the sign-out was lost.
GOOD_FOR = 1.0
# Age in seconds at which a check is repeated together with the due check of another identity.
# Younger checks are kept, so that a burst of requests does not repeat a check over and over.
OLD = GOOD_FOR / 2
# Seconds without a request after which an identity is left out of such common checks.
GOES_ON = 2 * GOOD_FOR

_Check = asyncio.Future[set["Identity"]]


class BadCredentials(Exception):
    """The error that credentials are wrong."""

    close_code = 4401


class NotAllowed(BadCredentials):
    """The error that credentials are right, but their owner has no access here."""

    close_code = 4403


@dataclass(frozen=True, slots=True)
class Identity:
    """A person, with the facts that end the identity when they change.

    `session` is the key of a Django session; `password` is the password's hash, if a change of the
    password ends the identity; `api_key` is a key's id; `until` is the expiry of a token.
    """

    person: Person
    session: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    api_key: int | None = None
    until: datetime | None = None

    @classmethod
    def of(cls, user: AbstractBaseUser, *, session: str | None = None) -> "Identity":
        """Build the identity of a Django user; it ends when the user's password changes."""
        return cls(Person.of(user), session=session, password=user.password)


def still_valid(identities: Collection[Identity]) -> set[Identity]:
    """Return the identities that are valid now; 500 take three queries at most. Blocks."""
    every = list(identities)
    parts = (every[start : start + IDS_PER_QUERY] for start in range(0, len(every), IDS_PER_QUERY))
    return set().union(*map(_still_valid, parts))


def _still_valid(identities: list[Identity]) -> set[Identity]:
    now = timezone.now()
    # Load whole users: in a project's user model, `is_active` need not be a column.
    people = users().filter(pk__in={identity.person.id for identity in identities})
    passwords = {user.pk: user.password for user in people if user.is_active}
    sessions = _live_sessions(
        {identity.session for identity in identities if identity.session}, now
    )
    keys = _live_keys({identity.api_key for identity in identities if identity.api_key})
    return {
        identity
        for identity in identities
        if identity.person.id in passwords
        and identity.password in (None, passwords[identity.person.id])
        and (identity.session is None or identity.session in sessions)
        and (identity.api_key is None or identity.api_key in keys)
        and (identity.until is None or identity.until > now)
    }


def _live_keys(keys: set[int]) -> set[int]:
    if not keys:  # identities without API keys need no query
        return set()
    return set(ApiKey.objects.filter(pk__in=keys, revoked_at=None).values_list("pk", flat=True))


def _live_sessions(keys: set[str], now: datetime) -> set[str]:
    """Return the keys of sessions that have not ended, for any session backend."""
    if not keys:
        return set()
    if rows := session_model():
        live = rows.objects.filter(session_key__in=keys, expire_date__gt=now)
        return set(live.values_list("session_key", flat=True))
    store = import_module(settings.SESSION_ENGINE).SessionStore
    if issubclass(store, signed_cookies.SessionStore):
        return keys  # sessions in signed cookies have no row to check
    return {key for key in keys if store(key).load()}


class IdentityChecks:
    """A cache of identity checks, in which one check serves all requests within a second.

    The cost of checks therefore does not grow with the number of active sockets.
    """

    def __init__(self) -> None:
        # The time of each identity's last request.
        self._asked_at: dict[Identity, float] = {}
        # The last check of each identity, with the time at which the check began.
        self._checks: dict[Identity, tuple[_Check, float]] = {}

    async def held_at(self, identity: Identity) -> float | None:
        """Return a monotonic time, at most a second ago, at which the identity was valid.

        The result is None if the identity has ended.

        Raises:
            django.db.DatabaseError: the database could not be read.
        """
        now = self._asked_at[identity] = time.monotonic()
        if self._age(identity, now) >= GOOD_FOR:
            self._start_check(now)
        check, began = self._checks[identity]
        # Shield the check from cancellation, because other requests wait for the same check.
        return began if identity in await asyncio.shield(check) else None

    def _start_check(self, now: float) -> None:
        self._asked_at = {
            identity: at for identity, at in self._asked_at.items() if now - at < GOES_ON
        }
        self._checks = {
            identity: self._checks[identity]
            for identity in self._asked_at
            if identity in self._checks
        }
        old = [identity for identity in self._asked_at if self._age(identity, now) >= OLD]
        check = reads.begin(still_valid, old)
        self._checks |= dict.fromkeys(old, (check, now))

    def _age(self, identity: Identity, now: float) -> float:
        check, began = self._checks.get(identity, (None, 0.0))
        failed = check is None or (check.done() and (check.cancelled() or check.exception()))
        return float("inf") if failed else now - began

"""API keys: created and revoked in the admin, shown once, stored as a salted hash.

A key is `nak_<prefix>_<secret>`. The prefix finds the row; the secret has 256 bits, too many to
guess, so that a fast hash is enough.
"""

import hashlib
import secrets
from contextlib import suppress
from datetime import timedelta

from django.db.models import Q
from django.utils import timezone
from django.utils.crypto import constant_time_compare

from chat_app.identity.identities import BadCredentials, Identity
from chat_app.models import ApiKey
from sessions_app.errors import SessionsError
from sessions_app.models.people import Person
from sessions_app.storage import reads
from sessions_app.storage.writer import writer

KEY_MARK = "nak_"
# The time "last used", which admins see, is written at most once a minute, to save writes.
USED = timedelta(minutes=1)


def issue(row: ApiKey) -> str:
    """Generate the key of an unsaved row. Only the returned text contains the secret."""
    secret = secrets.token_urlsafe(32)
    row.prefix, row.salt = secrets.token_hex(6), secrets.token_hex(16)
    row.digest = _digest(row.salt, secret)
    return f"{KEY_MARK}{row.prefix}_{secret}"


async def key_identity(key: str) -> Identity:
    """Return the identity of an API key; the identity ends when the key is revoked.

    Raises:
        BadCredentials: there is no such key, it was revoked, or its user was deactivated.
    """
    prefix, _, secret = key.removeprefix(KEY_MARK).partition("_")
    row = await reads.read(_find, prefix)
    # Compare digests even without a row, so that the response time does not tell whether a key
    # exists.
    salt, digest = (row.salt, row.digest) if row else ("", "")
    matches = constant_time_compare(_digest(salt, secret), digest)
    if row is None or not matches:
        raise BadCredentials("The API key is not valid.")
    await _note_use(row)
    return Identity(Person.of(row.user), api_key=row.pk)


def _find(prefix: str) -> ApiKey | None:
    if not prefix.isalnum():  # refuse characters that a database may reject
        return None
    keys = ApiKey.objects.select_related("user")
    key = keys.filter(prefix=prefix, revoked_at=None).first()
    return key if key is not None and key.user.is_active else None


async def _note_use(row: ApiKey) -> None:
    now = timezone.now()
    if row.last_used_at is not None and now - row.last_used_at < USED:
        return
    before = Q(last_used_at=None) | Q(last_used_at__lt=now)
    used = ApiKey.objects.filter(before, pk=row.pk)
    with suppress(SessionsError):  # accept the key even if this write fails
        await writer.write(lambda tx: used.update(last_used_at=now))


def _digest(salt: str, secret: str) -> str:
    return hashlib.sha256(f"{salt}{secret}".encode(errors="surrogatepass")).hexdigest()

"""The grants of people: stored, read with fresh tokens, and revoked."""

from collections.abc import Collection
from datetime import datetime, timedelta

from django.core.exceptions import ImproperlyConfigured
from django.db.models import Q
from django.utils import timezone

from chat_app.contrib.oauth.errors import ConsentError, ConsentGone
from chat_app.contrib.oauth.models import OAuthGrant
from chat_app.contrib.oauth.providers import open_client
from chat_app.contrib.oauth.token_refresh import fresh_tokens
from chat_app.contrib.oauth.tokens import Tokens
from sessions_app.errors import NotFound
from sessions_app.logs import Log
from sessions_app.models.people import UserId
from sessions_app.storage import reads
from sessions_app.storage.writer import writer

log = Log(__name__)

# Precision of the time "last used", which people see. A coarse time saves a write for each use.
USED = timedelta(minutes=1)


async def find_usable(user: UserId, provider: str, scopes: Collection[str]) -> int | None:
    """Return the id of the person's grant if it covers the scopes, else None; refresh its tokens.

    Raises:
        ProviderUnavailable, ProviderRefused: the tokens cannot be refreshed now.
    """
    grant = await reads.read(OAuthGrant.objects.filter(user=user, provider=provider).first)
    if grant is None or not set(scopes) <= set(grant.scopes):
        return None
    return grant.pk if await fresh_tokens(grant.pk, user) else None


async def read_access_token(grant: int, user: UserId, provider: str) -> str:
    """Return the access token of a grant, refreshed if it expires soon.

    Raises:
        ConsentGone: the grant was revoked, on this site or at the provider.
        ProviderUnavailable, ProviderRefused: as `find_usable`.
    """
    tokens = await fresh_tokens(grant, user)
    if tokens is None:
        raise ConsentGone(provider)
    now = timezone.now()
    unnoted = Q(last_used_at=None) | Q(last_used_at__lt=now - USED)
    row = OAuthGrant.objects.filter(unnoted, pk=grant)
    if await reads.read(row.exists):
        await writer.write(lambda tx: row.update(last_used_at=now))
    return tokens.access


def store(user: UserId, provider: str, tokens: Tokens, scopes: list[str], now: datetime) -> None:
    """Store a new consent in place of an older one, in the caller's transaction."""
    OAuthGrant.objects.update_or_create(
        user_id=user,
        provider=provider,
        defaults={
            "scopes": sorted(scopes),
            "tokens": tokens.encrypt(user),
            "expires_at": tokens.expires_at,
            "created_at": now,
            "refreshing_until": None,
        },
    )


async def revoke(user: UserId, provider: str) -> bool:
    """Delete a person's grant, and revoke its tokens at the provider.

    Return whether the provider has revoked the tokens, too.

    Raises:
        NotFound: there is no such grant.
    """
    row = await reads.read(OAuthGrant.objects.filter(provider=provider, user=user).first)
    if row is None:
        raise NotFound
    # Delete the grant first: even if the provider fails, nothing acts for the person any more.
    await writer.write(lambda tx: row.delete())
    tokens = Tokens.decrypt(user, row.tokens)
    if tokens is None:
        return False
    try:
        async with open_client(row.provider) as client:
            await client.revoke(tokens)
            return bool(client.endpoints.revoke)
    except (ConsentError, ImproperlyConfigured) as error:
        log.warning("oauth.not_revoked", provider=row.provider, reason=str(error))
        return False

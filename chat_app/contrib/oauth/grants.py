"""The grants of people: stored, read with fresh tokens, and revoked.

Tokens are refreshed by one task at a time, which says so in the row: many providers take a refresh
token once, and revoke the whole consent at its second use.
"""

import asyncio
from collections.abc import Collection, Coroutine
from datetime import datetime, timedelta
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.db.models import Q, QuerySet
from django.utils import timezone

from chat_app.contrib.oauth.errors import ConsentError, ConsentGone, ProviderRefused
from chat_app.contrib.oauth.models import OAuthGrant
from chat_app.contrib.oauth.providers import TIMEOUT, open_client
from chat_app.contrib.oauth.tokens import Tokens
from sessions_app.errors import NotFound
from sessions_app.logs import Log
from sessions_app.models.people import UserId
from sessions_app.storage import reads
from sessions_app.storage.writer import writer

log = Log(__name__)

# An access token that ends sooner is refreshed: what is done with it takes a while.
MARGIN = timedelta(minutes=1)
# For longer than a provider is waited for, also where the clocks of two machines differ.
REFRESH_LEASE = timedelta(seconds=2 * TIMEOUT)
POLL = 0.1  # seconds between two looks whether another task has refreshed the tokens
# "Last used" is for people: it is not written anew for each use.
USED = timedelta(minutes=1)
# OAuth's code for a refresh token that is none any more.
INVALID_GRANT = "invalid_grant"


def find_grants(user: UserId) -> list[OAuthGrant]:
    """List a person's grants, by provider. Blocks."""
    return list(OAuthGrant.objects.filter(user=user).order_by("provider"))


async def find_usable(user: UserId, provider: str, scopes: Collection[str]) -> int | None:
    """Return the id of the grant that covers the scopes, with fresh tokens; None if there is none.

    Raises:
        ProviderUnavailable, ProviderRefused: its tokens cannot be refreshed now.
    """
    grant = await reads.read(OAuthGrant.objects.filter(user=user, provider=provider).first)
    if grant is None or not set(scopes) <= set(grant.scopes):
        return None
    return grant.pk if await _fresh_tokens(grant.pk, user) else None


async def read_access_token(grant: int, user: UserId, provider: str) -> str:
    """Return the access token of a grant, refreshed if it is about to end.

    Raises:
        ConsentGone: the grant was revoked, here or there.
        ProviderUnavailable, ProviderRefused: as `find_usable`.
    """
    tokens = await _fresh_tokens(grant, user)
    if tokens is None:
        raise ConsentGone(provider)
    now = timezone.now()
    unnoted = Q(last_used_at=None) | Q(last_used_at__lt=now - USED)
    row = OAuthGrant.objects.filter(unnoted, pk=grant)
    if await reads.read(row.exists):
        await writer.write(lambda tx: row.update(last_used_at=now))
    return tokens.access


def store(user: UserId, provider: str, tokens: Tokens, scopes: list[str], now: datetime) -> None:
    """Store a new consent in the place of an older one, within a transaction of the caller."""
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
    """Delete a person's grant, and have the provider forget its tokens. Return whether that is
    done there, too.

    Raises:
        NotFound: there is no such grant.
    """
    row = await reads.read(OAuthGrant.objects.filter(provider=provider, user=user).first)
    if row is None:
        raise NotFound
    # First here: whatever the provider says, nothing acts for the person from now on.
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


async def _fresh_tokens(grant: int, user: UserId) -> Tokens | None:
    """Return the tokens of a grant, refreshed if need be; None if the grant is gone, or ends now.

    Raises:
        ProviderUnavailable, ProviderRefused: they cannot be refreshed now.
    """
    rows = OAuthGrant.objects.filter(pk=grant, user=user)
    while (row := await reads.read(rows.first)) is not None:
        tokens, now = Tokens.decrypt(user, row.tokens), timezone.now()
        if tokens is not None and _is_fresh(tokens, row.expires_at, now):
            return tokens
        unchanged = rows.filter(tokens=row.tokens)
        if tokens is None or not tokens.refresh:
            await _delete(unchanged)
            return None
        is_free = Q(refreshing_until=None) | Q(refreshing_until__lt=now)
        if await _claim(unchanged.filter(is_free), now + REFRESH_LEASE):
            new_tokens = await _to_its_end(_refresh(row, tokens, now + REFRESH_LEASE))
            if new_tokens is not None:  # however soon they end: others would not last longer
                return new_tokens
        else:
            await asyncio.sleep(POLL)
    return None


def _is_fresh(tokens: Tokens, expires_at: datetime | None, now: datetime) -> bool:
    """Return whether tokens are used as they are; those that cannot be refreshed are, to their
    end.
    """
    margin = MARGIN if tokens.refresh else timedelta()
    return expires_at is None or now < expires_at - margin


async def _refresh(row: OAuthGrant, tokens: Tokens, until: datetime) -> Tokens | None:
    """Refresh the tokens of a row that is claimed until then, and return the new ones.

    None where the consent was taken back or replaced; one that has ended is deleted.
    """
    claimed = OAuthGrant.objects.filter(pk=row.pk, refreshing_until=until)
    try:
        async with open_client(row.provider) as client:
            new_tokens = await client.refresh(tokens)
            columns = {
                "tokens": new_tokens.encrypt(row.user_id),
                "expires_at": new_tokens.expires_at,
                "refreshing_until": None,
            }
            if await writer.write(lambda tx: claimed.update(**columns)):
                return new_tokens
            # What another process has stored meanwhile may share the consent, which many providers
            # revoke as a whole.
            if not await reads.read(OAuthGrant.objects.filter(pk=row.pk).exists):
                await client.revoke(new_tokens)
    except BaseException as error:
        if isinstance(error, ProviderRefused) and error.code == INVALID_GRANT:
            await _delete(claimed)
            return None
        await writer.write(lambda tx: claimed.update(refreshing_until=None))
        raise
    return None


async def _to_its_end(work: Coroutine[Any, Any, Tokens | None]) -> Tokens | None:
    """Await the work, also where this is cancelled: new tokens are given once, and to be stored."""
    task = asyncio.create_task(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise


async def _claim(rows: "QuerySet[OAuthGrant]", until: datetime) -> bool:
    return bool(await writer.write(lambda tx: rows.update(refreshing_until=until)))


async def _delete(rows: "QuerySet[OAuthGrant]") -> None:
    await writer.write(lambda tx: rows.delete())

"""The refresh of tokens.

One task at a time refreshes a grant, under a lease in its row: many providers accept a refresh
token once, and revoke the whole consent at its second use.
"""

import asyncio
from collections.abc import Coroutine
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Q, QuerySet
from django.utils import timezone

from chat_app.contrib.oauth.errors import ProviderRefused
from chat_app.contrib.oauth.models import OAuthGrant
from chat_app.contrib.oauth.providers import TIMEOUT, open_client
from chat_app.contrib.oauth.tokens import Tokens
from sessions_app.models.people import UserId
from sessions_app.storage import reads
from sessions_app.storage.writer import writer

# Minimum remaining lifetime of an access token. A token with less is refreshed before its use.
MARGIN = timedelta(minutes=1)
# Lease of a refresh: longer than the request's timeout, even if two machines' clocks differ.
REFRESH_LEASE = timedelta(seconds=2 * TIMEOUT)
POLL = 0.1  # seconds between two checks for another task's refresh
# OAuth's error code for an invalid refresh token.
INVALID_GRANT = "invalid_grant"


async def fresh_tokens(grant: int, user: UserId) -> Tokens | None:
    """Return a grant's tokens, refreshed if needed; None if the grant is gone or unusable.

    Raises:
        ProviderUnavailable, ProviderRefused: the tokens cannot be refreshed now.
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
        if await _lease_grant(unchanged.filter(is_free), now + REFRESH_LEASE):
            new_tokens = await _await_uninterrupted(_refresh(row, tokens, now + REFRESH_LEASE))
            if new_tokens is not None:  # accept any lifetime: the provider issues no longer ones
                return new_tokens
        else:
            await asyncio.sleep(POLL)
    return None


def _is_fresh(tokens: Tokens, expires_at: datetime | None, now: datetime) -> bool:
    """Return whether tokens need no refresh yet. Without a refresh token, only expiry counts."""
    margin = MARGIN if tokens.refresh else timedelta()
    return expires_at is None or now < expires_at - margin


async def _refresh(row: OAuthGrant, tokens: Tokens, until: datetime) -> Tokens | None:
    """Refresh the tokens of a row under a lease that lasts until `until`, and return the new
    tokens.

    Return None if the consent was revoked or replaced; delete a grant with an ended consent.
    """
    leased = OAuthGrant.objects.filter(pk=row.pk, refreshing_until=until)
    try:
        async with open_client(row.provider) as client:
            new_tokens = await client.refresh(tokens)
            columns = {
                "tokens": new_tokens.encrypt(row.user_id),
                "expires_at": new_tokens.expires_at,
                "refreshing_until": None,
            }
            if await writer.write(lambda tx: leased.update(**columns)):
                return new_tokens
            # Revoke the new tokens only if the person has no grant left. Many providers revoke the
            # whole consent with a token, and a newer grant may rest on the same consent.
            if not await reads.read(OAuthGrant.objects.filter(pk=row.pk).exists):
                await client.revoke(new_tokens)
    except BaseException as error:
        if isinstance(error, ProviderRefused) and error.code == INVALID_GRANT:
            await _delete(leased)
            return None
        await writer.write(lambda tx: leased.update(refreshing_until=None))
        raise
    return None


async def _await_uninterrupted(work: Coroutine[Any, Any, Tokens | None]) -> Tokens | None:
    """Await the work even if cancelled: new tokens are issued only once and must be stored."""
    task = asyncio.create_task(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise


async def _lease_grant(rows: "QuerySet[OAuthGrant]", until: datetime) -> bool:
    return bool(await writer.write(lambda tx: rows.update(refreshing_until=until)))


async def _delete(rows: "QuerySet[OAuthGrant]") -> None:
    await writer.write(lambda tx: rows.delete())

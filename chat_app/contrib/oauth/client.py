"""The requests to a provider, made by Authlib. `providers` imports this, where it is used."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from chat_app.contrib.oauth.errors import ProviderRefused, ProviderUnavailable
from chat_app.contrib.oauth.settings import OAuthProvider, check_provider_url
from chat_app.contrib.oauth.tokens import Tokens

try:
    import httpx2
    from authlib.integrations.httpx_client import AsyncOAuth2Client, OAuthError

    from sessions_app.contrib.http_bodies import BodyTooLong, limit_each
except ImportError as error:
    raise ImproperlyConfigured(
        "chat_app.contrib.oauth needs the packages Authlib and httpx2: "
        "pip install 'django-durable-hitl[oauth]'"
    ) from error

# Of an error code: what a provider sends is in a log and in an error.
LONGEST_CODE = 40
MAX_DOCUMENT = 2**20  # bytes, of each response


@dataclass(frozen=True, slots=True)
class Endpoints:
    """The addresses of a provider. `says_issuer`: each of its answers has `iss` (RFC 9207)."""

    issuer: str
    authorize: str
    token: str
    revoke: str
    says_issuer: bool = False


class ProviderClient:
    """An open connection to a provider. It follows no redirect."""

    def __init__(self, client: Any, provider: OAuthProvider, endpoints: Endpoints) -> None:
        self._client = client
        self._provider = provider
        self.endpoints = endpoints

    def authorization_url(self, *, state: str, verifier: str, scopes: list[str]) -> str:
        """Build the address to which a person goes to agree."""
        url, _ = self._client.create_authorization_url(
            self.endpoints.authorize,
            state=state,
            code_verifier=verifier,
            scope=" ".join(scopes) or None,
            **self._provider.authorize_parameters,
        )
        return str(url)

    async def exchange(self, code: str, verifier: str) -> Tokens:
        """Exchange the code that a person came back with for tokens."""
        return _read(
            await self._client.fetch_token(self.endpoints.token, code=code, code_verifier=verifier)
        )

    async def refresh(self, tokens: Tokens) -> Tokens:
        """Exchange a refresh token for new tokens; the old one may stay valid, or not."""
        return _read(
            await self._client.refresh_token(self.endpoints.token, refresh_token=tokens.refresh)
        )

    async def revoke(self, tokens: Tokens) -> None:
        """Have the provider forget the tokens (RFC 7009), if it takes that."""
        if self.endpoints.revoke:
            name = "refresh_token" if tokens.refresh else "access_token"
            token = tokens.refresh or tokens.access
            response = await self._client.revoke_token(
                self.endpoints.revoke, token=token, token_type_hint=name
            )
            response.raise_for_status()


@asynccontextmanager
async def connect(
    provider: OAuthProvider, redirect_uri: str, patience: float
) -> AsyncIterator[ProviderClient]:
    """Open a connection to a provider. `patience`: seconds, for all that is asked over it.

    Raises:
        ProviderRefused: it answers with an error of OAuth.
        ProviderUnavailable: it does not answer, or not as OAuth has it.
    """
    secret = provider.client_secret.get_secret_value()
    client_auth = provider.client_auth if secret else "none"
    new_client = partial(
        AsyncOAuth2Client,
        provider.client_id,
        secret or None,
        token_endpoint_auth_method=client_auth,
        revocation_endpoint_auth_method=client_auth,
        redirect_uri=redirect_uri,
        code_challenge_method="S256",
        timeout=patience,
        event_hooks={"response": [limit_each(MAX_DOCUMENT)]},
    )
    try:
        # In a thread: it reads the certificates of authorities, which blocks for a while.
        async with asyncio.timeout(patience), await asyncio.to_thread(new_client) as client:
            yield ProviderClient(client, provider, await _endpoints(client, provider))
    # Not chained: their texts may quote what was sent.
    except OAuthError as error:
        code = ascii(str(error.error)[:LONGEST_CODE])
        raise ProviderRefused(provider.title, code.strip("'")) from None
    except (httpx2.HTTPError, BodyTooLong, TimeoutError, ValueError) as error:
        raise ProviderUnavailable(provider.title, type(error).__name__) from None


async def _endpoints(client: Any, provider: OAuthProvider) -> Endpoints:
    """Return the provider's addresses: what the settings have comes before its own document."""
    document: dict[str, Any] = {}
    if provider.metadata_url:
        response = await client.request("GET", provider.metadata_url, withhold_token=True)
        response.raise_for_status()
        document = response.json()
        if not isinstance(document, dict):
            raise ValueError("the document is no JSON object")
        if provider.issuer not in ("", document.get("issuer")):
            raise ValueError("the document is another issuer's")
    authorize = provider.authorize_url or document.get("authorization_endpoint", "")
    revoke = provider.revoke_url or document.get("revocation_endpoint")
    return Endpoints(
        issuer=provider.issuer or str(document.get("issuer", "")),
        authorize=check_provider_url(authorize),
        token=check_provider_url(provider.token_url or document.get("token_endpoint", "")),
        revoke=check_provider_url(revoke) if revoke else "",
        says_issuer=document.get("authorization_response_iss_parameter_supported") is True,
    )


def _read(token: dict[str, Any]) -> Tokens:
    """Read the answer of the token endpoint; a ValueError says that it is none."""
    scope = token.get("scope") or ""
    # With spaces between them; some write commas, or a list.
    scopes = scope if isinstance(scope, list) else str(scope).replace(",", " ").split()
    return Tokens(
        access=token.get("access_token") or "",
        refresh=token.get("refresh_token") or "",
        expires_at=token.get("expires_at"),
        scopes=scopes or None,
    )

"""The requests to a provider, made by Authlib. `providers` imports this module on first use."""

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

# Maximum characters of a provider's error code in logs and errors.
LONGEST_CODE = 40
MAX_DOCUMENT = 2**20  # maximum bytes of a provider's response


@dataclass(frozen=True, slots=True)
class Endpoints:
    """The URLs of a provider. `says_issuer`: each response of the provider has `iss` (RFC 9207)."""

    issuer: str
    authorize: str
    token: str
    revoke: str
    says_issuer: bool = False


class ProviderClient:
    """A connection to a provider, which follows no redirects."""

    def __init__(self, client: Any, provider: OAuthProvider, endpoints: Endpoints) -> None:
        self._client = client
        self._provider = provider
        self.endpoints = endpoints

    def authorization_url(self, *, state: str, verifier: str, scopes: list[str]) -> str:
        """Build the URL to which a person goes to consent."""
        url, _ = self._client.create_authorization_url(
            self.endpoints.authorize,
            state=state,
            code_verifier=verifier,
            scope=" ".join(scopes) or None,
            **self._provider.authorize_parameters,
        )
        return str(url)

    async def exchange(self, code: str, verifier: str) -> Tokens:
        """Exchange a returning person's authorization code for tokens."""
        return _read(
            await self._client.fetch_token(self.endpoints.token, code=code, code_verifier=verifier)
        )

    async def refresh(self, tokens: Tokens) -> Tokens:
        """Exchange a refresh token for new tokens; the old one may or may not stay valid."""
        return _read(
            await self._client.refresh_token(self.endpoints.token, refresh_token=tokens.refresh)
        )

    async def revoke(self, tokens: Tokens) -> None:
        """Revoke the tokens at the provider (RFC 7009), if the provider supports revocation."""
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
    """Open a connection to a provider; `patience` is the seconds for all requests over it.

    Raises:
        ProviderRefused: the provider answers with an OAuth error.
        ProviderUnavailable: the provider does not answer, or not in the form of OAuth.
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
        # Use a thread, because loading the root certificates blocks for a while.
        async with asyncio.timeout(patience), await asyncio.to_thread(new_client) as client:
            yield ProviderClient(client, provider, await _endpoints(client, provider))
    # Raise without a cause, because the cause's text may quote secrets of the request.
    except OAuthError as error:
        code = ascii(str(error.error)[:LONGEST_CODE])
        raise ProviderRefused(provider.title, code.strip("'")) from None
    except (httpx2.HTTPError, BodyTooLong, TimeoutError, ValueError) as error:
        raise ProviderUnavailable(provider.title, type(error).__name__) from None


async def _endpoints(client: Any, provider: OAuthProvider) -> Endpoints:
    """Return the provider's URLs; the settings take precedence over the metadata document."""
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
    """Read the token endpoint's response; raise ValueError if it contains no valid tokens."""
    scope = token.get("scope") or ""
    # Scopes are separated by spaces, but some providers send commas, or a list.
    scopes = scope if isinstance(scope, list) else str(scope).replace(",", " ").split()
    return Tokens(
        access=token.get("access_token") or "",
        refresh=token.get("refresh_token") or "",
        expires_at=token.get("expires_at"),
        scopes=scopes or None,
    )

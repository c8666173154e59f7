"""The providers of OAUTH_PROVIDERS, and the connections to them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from chat_app.contrib.oauth.settings import OAuthProvider, OAuthSettings

if TYPE_CHECKING:
    from chat_app.contrib.oauth.client import ProviderClient

# Path of a function that is imported only on use, because its module imports Authlib.
CONNECT = "chat_app.contrib.oauth.client.connect"

TIMEOUT = 15  # seconds for all requests of one task to a provider


def find_provider(name: str) -> OAuthProvider:
    """Return a provider by its name.

    Raises:
        ImproperlyConfigured: OAUTH_PROVIDERS does not contain the provider.
    """
    providers = OAuthSettings.load().OAUTH_PROVIDERS
    if name not in providers:
        raise ImproperlyConfigured(
            f"OAUTH_PROVIDERS in HITL has no {name!r}; there are: {', '.join(providers) or 'none'}."
        )
    return providers[name]


@asynccontextmanager
async def open_client(name: str) -> "AsyncIterator[ProviderClient]":
    """Open a connection to a provider; see `client.connect`."""
    provider = find_provider(name)
    # Use threads, because the first calls import so much that they would block the event loop.
    link = OAuthSettings.load().public_link
    redirect_uri = await asyncio.to_thread(link, "chat:consent_callback", name)
    connect = await asyncio.to_thread(import_string, CONNECT)
    async with connect(provider, redirect_uri, TIMEOUT) as client:
        yield client

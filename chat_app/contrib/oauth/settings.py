"""The section of consents in the project's `HITL` settings."""

import re
from importlib.util import find_spec
from ipaddress import ip_address
from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from chat_app.settings import SiteSettings, rate

PROVIDER_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,49}")  # providers' names are parts of URLs


def check_provider_url(url: str) -> str:
    """Return a URL that may receive secrets; raise ValueError for plain HTTP off this machine."""
    parts = urlsplit(url)
    is_plain = url.isascii() and url.isprintable() and "@" not in parts.netloc
    if not is_plain or not parts.hostname or parts.fragment:
        raise ValueError("it must be a whole URL, without a user name and a fragment")
    if parts.scheme != "https" and not (parts.scheme == "http" and _is_loopback(parts.hostname)):
        raise ValueError("it must begin with https://")
    return url


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


class OAuthProvider(BaseModel):
    """A provider at which people let workflows act for them, by OAuth 2.0."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: str = Field(min_length=1, max_length=100)
    client_id: str = Field(min_length=1)
    client_secret: SecretStr = SecretStr("")
    client_auth: Literal["client_secret_basic", "client_secret_post"] = "client_secret_basic"
    # URL of a metadata document (RFC 8414, or OpenID Connect Discovery). The document supplies
    # those values below that are not set.
    metadata_url: str = ""
    issuer: str = ""
    authorize_url: str = ""
    token_url: str = ""
    revoke_url: str = ""
    # Default scopes, for workflows that name none.
    scopes: list[str] = []
    # Further parameters of the authorization URL, such as {"access_type": "offline"}.
    authorize_parameters: dict[str, str] = {}

    @field_validator("metadata_url", "authorize_url", "token_url", "revoke_url")
    @classmethod
    def _safe(cls, value: str) -> str:
        return check_provider_url(value) if value else value

    @model_validator(mode="after")
    def _has_endpoints(self) -> Self:
        if not self.metadata_url and not (self.authorize_url and self.token_url):
            raise ValueError("it needs metadata_url, or authorize_url and token_url")
        return self


class OAuthSettings(SiteSettings):
    """The settings of OAuth providers, at whose sites workflows may act for people."""

    secrets = frozenset({"OAUTH_PROVIDERS"})

    # Providers by name; the name is part of the URL to which a provider sends people back.
    OAUTH_PROVIDERS: dict[str, OAuthProvider] = Field(
        default={},
        description="a dict by name, as in docs/oauth.md. The sites at which people let workflows "
        "act for them",
    )
    RATE_CONSENTS_USER: str = rate("30/minute", "tries of one user to connect an account")

    @field_validator("OAUTH_PROVIDERS")
    @classmethod
    def _can_be_reached(cls, value: dict[str, OAuthProvider]) -> dict[str, OAuthProvider]:
        if bad := [name for name in value if not PROVIDER_NAME.fullmatch(name)]:
            raise ValueError(f"{bad[0]!r} is no name: use a-z, 0-9, - and _")
        if value and not (find_spec("authlib") and find_spec("httpx2")):
            raise ValueError("pip install 'django-durable-hitl[oauth]' is missing")
        return value

    @model_validator(mode="after")
    def _people_come_back(self) -> Self:
        if self.OAUTH_PROVIDERS and not self.known_url:
            raise ValueError("PUBLIC_URL is missing: OAUTH_PROVIDERS send people back to it.")
        return self

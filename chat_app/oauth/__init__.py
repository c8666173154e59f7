"""The consent of people to workflows that act for them elsewhere, by OAuth 2.0: see docs/oauth.md.

A workflow calls `access_token`. Authlib is imported once a provider is asked.
"""

from chat_app.oauth.access_token import AccessToken, access_token
from chat_app.oauth.errors import (
    ConsentDeclined,
    ConsentError,
    ConsentGone,
    NoConsentOfGuests,
    ProviderRefused,
    ProviderUnavailable,
)

__all__ = [
    "AccessToken",
    "ConsentDeclined",
    "ConsentError",
    "ConsentGone",
    "NoConsentOfGuests",
    "ProviderRefused",
    "ProviderUnavailable",
    "access_token",
]

"""The sign-in of NeMo Agent Toolkit functions, by the providers of this site.

The module needs the extras `[nat]` and `[oauth]`. A workflow in the workflows file names the
function: `authenticate: chat_app.contrib.oauth.nat.authenticate`.
"""

from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.utils import timezone
from nat.data_models.authentication import AuthenticatedContext

from chat_app.contrib.oauth.access_token import access_token
from chat_app.contrib.oauth.errors import ConsentGone
from chat_app.contrib.oauth.settings import OAuthSettings
from sessions_app.workflows import Context


async def authenticate(context: Context, config: Any, flow: Any) -> AuthenticatedContext:
    """Return the authorization header of the run's person, after a prompt for consent if needed.

    Args:
        config: an `oauth2_auth_code_flow` of the toolkit's configuration.
        flow: the toolkit's type of flow, always the same one.

    Raises:
        ImproperlyConfigured: no provider of OAUTH_PROVIDERS has the configuration's client id.
        ConsentDeclined: the person has declined; further errors are those of `access_token`.
    """
    name = _find_name(config.client_id)
    while True:
        token = await access_token(context, name, scopes=config.scopes)
        try:
            header = f"Bearer {await token.read()}"
        except ConsentGone:  # the consent has ended since the lookup: prompt again
            continue
        # Mark the header as expired. Otherwise the toolkit uses the header as long as the
        # workflow's builder lives, even after the consent is revoked.
        ended = {"expires_at": timezone.now()}
        return AuthenticatedContext(headers={"Authorization": header}, metadata=ended)


def _find_name(client_id: str) -> str:
    """Return the name of the provider at which this site is registered by a client id."""
    for name, provider in OAuthSettings.load().OAUTH_PROVIDERS.items():
        if provider.client_id == client_id:
            return name
    raise ImproperlyConfigured(f"OAUTH_PROVIDERS in HITL has no provider of client id {client_id}.")

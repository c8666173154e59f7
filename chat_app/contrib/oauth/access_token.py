"""The function by which a workflow gets an access token of its person."""

import asyncio
import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from chat_app.contrib.oauth import grants
from chat_app.contrib.oauth.errors import ConsentDeclined, NoConsentOfGuests, ProviderUnavailable
from chat_app.contrib.oauth.providers import find_provider
from chat_app.contrib.oauth.settings import OAuthSettings
from sessions_app.models.people import UserId, is_guest
from sessions_app.prompts import ConsentRequest, OAuthPrompt
from sessions_app.workflows import Context, Retry


@dataclass(frozen=True, slots=True)
class AccessToken:
    """A reference to a person's consent, by which a step reads the access token.

    The reference is no secret: the journal records it as an argument of steps.
    """

    grant: int
    user: UserId
    provider: str

    async def read(self) -> str:
        """Return the access token, refreshed if it expires soon.

        Read the token in the step that uses it, and return it from no step, because results are
        recorded.

        Raises:
            ConsentGone: the consent was revoked, or has ended.
            ProviderUnavailable, ProviderRefused: the token cannot be refreshed now.
        """
        return await grants.read_access_token(self.grant, self.user, self.provider)


@dataclass(frozen=True, slots=True)
class Lookup:
    """The result of a search for a usable grant: its id, or else the link for a new consent."""

    grant: int | None
    link: str = ""


async def access_token(
    context: Context,
    provider: str,
    *,
    scopes: Sequence[str] = (),
    timeout: float | None = None,  # noqa: ASYNC109 - the prompt's durable timeout
) -> AccessToken:
    """Return the access token of the run's person at a provider, after a prompt for consent if
    needed.

    Args:
        provider: a name of OAUTH_PROVIDERS.
        scopes: the required scopes; by default the provider's own `scopes`.
        timeout: seconds that the person has for the answer; by default no limit.

    Raises:
        ConsentDeclined: the person has declined.
        PromptExpired: the person did not answer in time.
        NoConsentOfGuests: the person is a guest.
        StepFailed: the provider cannot refresh an older token now.
        ImproperlyConfigured: there is no such provider.
    """
    offered, user = find_provider(provider), context.user
    if is_guest(user.username):
        raise NoConsentOfGuests
    wanted = sorted(set(scopes or offered.scopes))
    while True:
        lookup: Lookup = await context.step(
            _look_up,
            context.run_id,
            user.id,
            provider,
            wanted,
            name=f"access token of {provider}",
            retry=Retry(on=(ProviderUnavailable,)),
        )
        if lookup.grant is not None:
            return AccessToken(lookup.grant, user.id, provider)
        answer = await context.ask(
            OAuthPrompt(
                text=lookup.link,
                request=ConsentRequest(provider=provider, title=offered.title, scopes=wanted),
                details={"Access": [*wanted]} if wanted else {},
                timeout=timeout,
            )
        )
        if not answer.granted:
            raise ConsentDeclined(offered.title)


async def _look_up(run: str, user: UserId, provider: str, scopes: list[str]) -> Lookup:
    if (grant := await grants.find_usable(user, provider, scopes)) is not None:
        return Lookup(grant)
    # Use a thread: the first `reverse()` of a worker imports all views, and would block other runs.
    nonce = secrets.token_urlsafe(16)
    link = OAuthSettings.load().public_link
    return Lookup(None, await asyncio.to_thread(link, "chat:consent", run, nonce))

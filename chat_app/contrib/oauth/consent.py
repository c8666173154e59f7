"""The consent of a person at a provider, from the prompt's link to the return that settles it.

An `OAuthRequest` stores the state in between, which must survive a restart.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import partial
from hashlib import sha256
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

from django.core.exceptions import ImproperlyConfigured
from django.utils import timezone

from chat_app.contrib.oauth import grants
from chat_app.contrib.oauth.errors import ProviderRefused, ProviderUnavailable
from chat_app.contrib.oauth.models import OAuthGrant, OAuthRequest
from chat_app.contrib.oauth.providers import open_client
from chat_app.contrib.oauth.tokens import Tokens, decrypt, encrypt
from sessions_app.errors import NotFound
from sessions_app.interactions.settlement import Settlement, find_interactions, settle
from sessions_app.logs import Log
from sessions_app.models import Interaction
from sessions_app.models.people import Person
from sessions_app.prompts import ConsentRequest, OAuthPrompt
from sessions_app.questions.question_view import QuestionView
from sessions_app.storage import reads
from sessions_app.storage.transaction import Transaction
from sessions_app.storage.writer import writer

if TYPE_CHECKING:
    from chat_app.contrib.oauth.client import Endpoints

log = Log(__name__)

# Time to consent, long enough to sign in at the provider and get a password from a colleague.
VALID = timedelta(hours=1)
VIA = "oauth"
OFFLINE = "offline_access"


class ConsentOutcome(StrEnum):
    """The outcome of a person's visit to a provider."""

    CONNECTED = "connected"
    CLOSED = "closed"  # the prompt was already settled
    DENIED = "denied"  # the person declined at the provider
    TOO_LITTLE = "too_little"  # the person allowed fewer scopes than needed
    UNKNOWN = "unknown"  # the URL was used before, or is too old
    OTHER_PERSON = "other_person"  # another person has opened the link
    FOREIGN = "foreign"  # the answer comes from a different provider
    REFUSED = "refused"  # the provider answers with an OAuth error
    UNAVAILABLE = "unavailable"  # the provider does not respond, or is not configured


@dataclass(frozen=True, slots=True)
class Return:
    """A person's return from a provider: the outcome, and the prompt if known."""

    outcome: ConsentOutcome
    interaction: UUID | None = None
    title: str = ""
    missing_scopes: tuple[str, ...] = ()


async def begin(person: Person, run: UUID, nonce: str) -> str | Return:
    """Return the provider's URL for the person's prompt, or the reason why there is none.

    Raises:
        NotFound: the run has no such prompt for this person.
    """
    prompt = await reads.read_for(person.id, _find_prompt, person, run, nonce)
    request = prompt.request
    if not prompt.waits:
        return Return(ConsentOutcome.CLOSED, prompt.interaction, request.title)
    state, verifier = secrets.token_urlsafe(32), secrets.token_urlsafe(48)
    # Request the scopes of an older consent, too, because the new consent replaces the older one.
    kept = OAuthGrant.objects.filter(user=person.id, provider=request.provider)
    kept_grant = await reads.read_for(person.id, kept.first)
    scopes = sorted({*request.scopes, *(kept_grant.scopes if kept_grant else ())})
    try:
        async with open_client(request.provider) as client:
            url = client.authorization_url(state=state, verifier=verifier, scopes=scopes)
    except (ProviderUnavailable, ImproperlyConfigured) as error:
        log.warning("oauth.unavailable", provider=request.provider, reason=str(error))
        return Return(ConsentOutcome.UNAVAILABLE, prompt.interaction, request.title)
    row = OAuthRequest(
        state=_digest(state),
        verifier=encrypt(person.id, verifier),
        interaction=prompt.interaction,
        user_id=person.id,
        provider=request.provider,
        scopes=scopes,
        expires_at=timezone.now() + VALID,
    )
    await writer.write(partial(_save, row))
    return url


async def finish(person: Person, provider: str, query: Mapping[str, str]) -> Return:
    """Complete a consent: exchange the code for tokens, store them, and settle the prompt.

    `query` has the parameters of the returning person's URL.
    """
    digest = _digest(query.get("state", ""))
    request = await writer.write(partial(_take_request, person, provider, digest))
    if request is None:
        others = OAuthRequest.objects.filter(state=digest).exclude(user=person.id)
        is_others = await reads.read_for(person.id, others.exists)
        return Return(ConsentOutcome.OTHER_PERSON if is_others else ConsentOutcome.UNKNOWN)
    prompt = await reads.read_for(person.id, _read_prompt, person, request.interaction)
    if prompt is None:
        return Return(ConsentOutcome.CLOSED)
    back = partial(Return, interaction=prompt.interaction, title=prompt.request.title)
    verifier = decrypt(person.id, request.verifier)
    if not prompt.waits or verifier is None:
        return back(ConsentOutcome.UNKNOWN if prompt.waits else ConsentOutcome.CLOSED)
    try:
        async with open_client(provider) as client:
            if not _is_of(client.endpoints, query):
                log.warning("oauth.foreign_answer", provider=provider)
                return back(ConsentOutcome.FOREIGN)
            if "code" not in query:
                is_denied = query.get("error") == "access_denied"
                return back(ConsentOutcome.DENIED if is_denied else ConsentOutcome.REFUSED)
            tokens = await client.exchange(query["code"], verifier)
    except (ProviderRefused, ProviderUnavailable) as error:
        log.warning("oauth.no_token", provider=provider, reason=str(error))
        is_refused = isinstance(error, ProviderRefused)
        return back(ConsentOutcome.REFUSED if is_refused else ConsentOutcome.UNAVAILABLE)
    scopes = _granted_scopes(request.scopes, tokens)
    if missing := set(prompt.request.scopes) - set(scopes):
        return back(ConsentOutcome.TOO_LITTLE, missing_scopes=tuple(sorted(missing)))
    is_settled = await writer.write(partial(_connect, person, request, tokens, scopes))
    return back(ConsentOutcome.CONNECTED if is_settled else ConsentOutcome.CLOSED)


@dataclass(frozen=True, slots=True)
class _Prompt:
    """The facts of a prompt that a consent needs."""

    interaction: UUID
    request: ConsentRequest
    waits: bool


def _find_prompt(person: Person, run: UUID, nonce: str) -> _Prompt:
    """Find the person's prompt by its link; raise NotFound if there is none."""
    asked = Interaction.objects.filter(run=run, name=OAuthPrompt.model_fields["input_type"].default)
    rows = asked.filter(conversation__owner=person.id, conversation__deleted_at=None)
    for view in QuestionView.of_all(rows):
        if view.text.endswith(f"/{run}/{nonce}/") and (prompt := _as_prompt(view)):
            return prompt
    raise NotFound


def _read_prompt(person: Person, interaction: UUID) -> _Prompt | None:
    rows = Interaction.objects.filter(pk=interaction, conversation__owner=person.id)
    row = rows.filter(conversation__deleted_at=None).first()
    return None if row is None else _as_prompt(QuestionView.of(row))


def _as_prompt(view: QuestionView) -> _Prompt | None:
    prompt, row = view.prompt, view.interaction
    if not isinstance(prompt, OAuthPrompt) or prompt.request is None:
        return None
    return _Prompt(row.pk, prompt.request, _waits(row.status, row.expires_at, timezone.now()))


def _waits(status: str, expires_at: datetime | None, now: datetime) -> bool:
    return status == Interaction.Status.PENDING and (expires_at is None or now < expires_at)


def _save(row: OAuthRequest, tx: Transaction) -> None:
    """Store a request, and delete expired ones."""
    OAuthRequest.objects.filter(expires_at__lt=tx.now).delete()
    row.save(force_insert=True)


def _take_request(
    person: Person, provider: str, digest: str, tx: Transaction
) -> OAuthRequest | None:
    """Delete and return the stored request of a person's visit, so that its URL works only once."""
    rows = OAuthRequest.objects.filter(state=digest, user=person.id, provider=provider)
    row = rows.filter(expires_at__gt=tx.now).first()
    return row if row is not None and row.delete()[0] else None


def _connect(
    person: Person, request: OAuthRequest, tokens: Tokens, scopes: list[str], tx: Transaction
) -> bool:
    """Store the grant and settle the prompt in one transaction; return False if already settled."""
    is_settled = False
    for interaction in find_interactions(interaction=request.interaction, owner=person.id):
        if _waits(interaction.status, interaction.expires_at, tx.now):
            grants.store(person.id, request.provider, tokens, scopes, tx.now)
            answered, answer_id = Interaction.Status.ANSWERED, f"{VIA}-{uuid4()}"
            response = {"value": OAuthPrompt.DONE}
            settlement = Settlement(answered, VIA, response, person, answer_id)
            is_settled = settle(tx, interaction, settlement)
    return is_settled


def _is_of(endpoints: "Endpoints", query: Mapping[str, str]) -> bool:
    """Return whether the provider itself sent the person back (RFC 9207).

    If the response names no issuer, the callback URL, one for each provider, identifies the
    provider. Some providers omit the issuer only in errors, which are harmless: an error connects
    no account.
    """
    if "iss" not in query:
        return "code" not in query or not endpoints.says_issuer
    return endpoints.issuer in ("", query["iss"])


def _granted_scopes(asked: list[str], tokens: Tokens) -> list[str]:
    """Return the scopes that the person has granted.

    Many providers never return OpenID's `offline_access`: a refresh token implies that scope.
    """
    if tokens.scopes is None:
        return asked
    by_refresh = {OFFLINE} if tokens.refresh else set()
    return sorted({*tokens.scopes, *(by_refresh & set(asked))})


def _digest(state: str) -> str:
    return sha256(state.encode(errors="surrogatepass")).hexdigest()

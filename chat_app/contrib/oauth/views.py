"""The views that send a person to a provider and back, and the list of connected accounts."""

from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple
from uuid import UUID

from django.contrib import messages
from django.core.exceptions import ImproperlyConfigured
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.utils.functional import Promise
from django.utils.translation import pgettext, pgettext_lazy

from chat_app.contrib.oauth import grants
from chat_app.contrib.oauth.consent import ConsentOutcome, Return, begin, finish
from chat_app.contrib.oauth.models import OAuthGrant
from chat_app.contrib.oauth.providers import find_provider
from chat_app.contrib.oauth.settings import PROVIDER_NAME, OAuthSettings
from chat_app.identity import audit
from chat_app.page.common import or_404, person_of, personal, site_context
from chat_app.rates import LimitedRate, rate_limits
from sessions_app.errors import NotFound, TooMany
from sessions_app.models.people import Person
from sessions_app.storage import reads

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise


class ConsentRate(LimitedRate):
    """The limit of a person's tries to connect an account."""

    USER = "RATE_CONSENTS_USER"

    @property
    def section(self) -> OAuthSettings:
        return OAuthSettings.load()

    @property
    def counted_things(self) -> "StrOrPromise":
        return pgettext_lazy("hitl", "tries to connect an account")


NOT_CONNECTED = pgettext_lazy("hitl", "Not connected")
AGAIN = pgettext_lazy("hitl", "The question still waits: open its link again, or decline it there.")


class ConsentPage(NamedTuple):
    """The texts for a returning person: the outcome, and the next action."""

    text: Promise
    status: int = 400
    heading: Promise = NOT_CONNECTED


PAGES = {
    ConsentOutcome.CONNECTED: ConsentPage(
        pgettext_lazy("hitl", "The question is answered. You can close this page."),
        200,
        pgettext_lazy("hitl", "Connected"),
    ),
    ConsentOutcome.CLOSED: ConsentPage(
        pgettext_lazy(
            "hitl", "The question no longer waits for an answer. You can close this page."
        ),
        409,
        pgettext_lazy("hitl", "No longer needed"),
    ),
    ConsentOutcome.DENIED: ConsentPage(pgettext_lazy("hitl", "You did not agree there."), 200),
    ConsentOutcome.TOO_LITTLE: ConsentPage(
        pgettext_lazy("hitl", "You did not allow all that is needed. Missing:"), 200
    ),
    ConsentOutcome.UNKNOWN: ConsentPage(
        pgettext_lazy("hitl", "This address was used before, or you were away for too long.")
    ),
    ConsentOutcome.OTHER_PERSON: ConsentPage(
        pgettext_lazy(
            "hitl",
            "Somebody else opened the link. Sign in as that person, and load this page again.",
        ),
        403,
    ),
    ConsentOutcome.FOREIGN: ConsentPage(
        pgettext_lazy("hitl", "The answer did not come from the site that was asked.")
    ),
    ConsentOutcome.REFUSED: ConsentPage(pgettext_lazy("hitl", "The other site refused.")),
    ConsentOutcome.UNAVAILABLE: ConsentPage(
        pgettext_lazy("hitl", "The other site does not respond. Try again in a minute."), 503
    ),
}
# Outcomes after which the page suggests no second attempt: the prompt is settled, or unknown.
WITHOUT_AGAIN = (ConsentOutcome.CONNECTED, ConsentOutcome.CLOSED, ConsentOutcome.OTHER_PERSON)


@personal("GET")
async def redirect_to_provider(request: HttpRequest, run: UUID, nonce: str) -> HttpResponse:
    """Redirect a person to the provider of a prompt for consent."""
    person = await person_of(request)
    with or_404():
        try:
            rate_limits.take((ConsentRate.USER, person.id))
            destination = await begin(person, run, nonce)
        except TooMany as error:
            context = {**site_context(), "heading": NOT_CONNECTED, "text": error}
            page = render(request, "hitl_oauth/consent.html", context, status=429)
            page["Retry-After"] = str(error.seconds)
            return page
    if isinstance(destination, Return):
        return _render(request, destination)
    return HttpResponseRedirect(destination)


@personal("GET")
async def come_back(request: HttpRequest, provider: str) -> HttpResponse:
    """Finish a person's visit to a provider, and show the outcome."""
    if provider not in OAuthSettings.load().OAUTH_PROVIDERS:
        raise Http404
    person = await person_of(request)
    back = await finish(person, provider, request.GET)
    if back.outcome == ConsentOutcome.CONNECTED:
        audit.log_event("account.connected", request, user=person.username, provider=provider)
    return _render(request, back)


def _render(request: HttpRequest, back: Return) -> HttpResponse:
    page = PAGES[back.outcome]
    context = {
        **site_context(),
        "heading": page.heading,
        "text": page.text,
        "again": "" if back.outcome in WITHOUT_AGAIN else AGAIN,
        "back": back,
    }
    return render(request, "hitl_oauth/consent.html", context, status=page.status)


@personal("GET", "POST")
async def accounts(request: HttpRequest) -> HttpResponse:
    """List a person's connected accounts, and revoke the one that the form names."""
    if not OAuthSettings.load().OAUTH_PROVIDERS:
        raise Http404
    person = await person_of(request)
    if request.method == "POST":
        with suppress(NotFound):  # ignore a grant already revoked in another tab
            await _revoke(request, person)
        return redirect("chat:accounts")
    own = OAuthGrant.objects.filter(user=person.id).order_by("provider")
    rows = await reads.read_for(person.id, list, own)
    context = {**site_context(), "accounts": [(_title(row), row) for row in rows]}
    return render(request, "hitl_oauth/accounts.html", context)


async def _revoke(request: HttpRequest, person: Person) -> None:
    provider = request.POST.get("provider", "")
    if not PROVIDER_NAME.fullmatch(provider):
        raise NotFound
    is_told = await grants.revoke(person.id, provider)
    audit.log_event("account.revoked", request, user=person.username, provider=provider)
    if not is_told:
        text = pgettext(
            "hitl",
            "Nothing here can use the account any more. The other site could not be told: "
            "remove this site there, too.",
        )
        messages.warning(request, text)


def _title(row: OAuthGrant) -> str:
    """Return the provider's title; its name if the settings do not contain it any more."""
    try:
        return find_provider(row.provider).title
    except ImproperlyConfigured:
        return row.provider

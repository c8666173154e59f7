"""The two addresses by which a person goes to a provider and comes back, and the texts there."""

from typing import NamedTuple
from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop

from chat_app.contrib.oauth.consent import Outcome, Return, begin, finish
from chat_app.contrib.oauth.settings import OAuthSettings
from chat_app.identity import audit
from chat_app.page.common import or_404, person_of, personal, site_context
from chat_app.rates import LimitedRate, rate_limits
from sessions_app.errors import TooMany


class ConsentRate(LimitedRate):
    """A rate of consents."""

    USER = "RATE_CONSENTS_USER"

    @property
    def section(self) -> OAuthSettings:
        return OAuthSettings.load()

    @property
    def counted_things(self) -> str:
        return gettext_noop("tries to connect an account")


class Page(NamedTuple):
    """The texts that a person reads when they are back: what happened, and what to do."""

    heading: Promise
    text: Promise
    status: int


NOT_CONNECTED = _("Not connected")
AGAIN = _("The question still waits: open its link again, or decline it there.")
PAGES = {
    Outcome.CONNECTED: Page(
        _("Connected"), _("The question is answered. You can close this page."), 200
    ),
    Outcome.CLOSED: Page(
        _("No longer needed"),
        _("The question no longer waits for an answer. You can close this page."),
        409,
    ),
    Outcome.DENIED: Page(NOT_CONNECTED, _("You did not agree there."), 200),
    Outcome.TOO_LITTLE: Page(
        NOT_CONNECTED, _("You did not allow all that is needed. Missing:"), 200
    ),
    Outcome.UNKNOWN: Page(
        NOT_CONNECTED, _("This address was used before, or you were away for too long."), 400
    ),
    Outcome.OTHER_PERSON: Page(
        NOT_CONNECTED,
        _("Somebody else opened the link. Sign in as that person, and load this page again."),
        403,
    ),
    Outcome.FOREIGN: Page(
        NOT_CONNECTED, _("The answer did not come from the site that was asked."), 400
    ),
    Outcome.REFUSED: Page(NOT_CONNECTED, _("The other site refused."), 400),
    Outcome.UNAVAILABLE: Page(
        NOT_CONNECTED, _("The other site does not respond. Try again in a minute."), 503
    ),
}
# Of these the prompt is settled, or not known.
WITHOUT_AGAIN = (Outcome.CONNECTED, Outcome.CLOSED, Outcome.OTHER_PERSON)


@personal("GET")
async def leave(request: HttpRequest, run: UUID, nonce: str) -> HttpResponse:
    """Send a person to the provider that a prompt of theirs names."""
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
    """Take a person back from a provider."""
    if provider not in OAuthSettings.load().OAUTH_PROVIDERS:
        raise Http404
    person = await person_of(request)
    back = await finish(person, provider, request.GET)
    if back.outcome == Outcome.CONNECTED:
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

"""The page on which a person sees at which sites workflows may act for them, and revokes that."""

from contextlib import suppress

from django.contrib import messages
from django.core.exceptions import ImproperlyConfigured
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext

from chat_app.contrib.oauth import grants
from chat_app.contrib.oauth.models import OAuthGrant
from chat_app.contrib.oauth.providers import find_provider
from chat_app.contrib.oauth.settings import PROVIDER_NAME, OAuthSettings
from chat_app.identity import audit
from chat_app.page.common import person_of, personal, site_context
from sessions_app.errors import NotFound
from sessions_app.models.people import Person
from sessions_app.storage import reads


@personal("GET", "POST")
async def accounts(request: HttpRequest) -> HttpResponse:
    """List a person's connected accounts, and revoke the one that the form names."""
    if not OAuthSettings.load().OAUTH_PROVIDERS:
        raise Http404
    person = await person_of(request)
    if request.method == "POST":
        with suppress(NotFound):  # revoked in another tab
            await _revoke(request, person)
        return redirect("chat:accounts")
    rows = await reads.read_for(person.id, grants.find_grants, person.id)
    context = {**site_context(), "accounts": [(_title(row), row) for row in rows]}
    return render(request, "hitl_oauth/accounts.html", context)


async def _revoke(request: HttpRequest, person: Person) -> None:
    provider = request.POST.get("provider", "")
    if not PROVIDER_NAME.fullmatch(provider):
        raise NotFound
    is_told = await grants.revoke(person.id, provider)
    audit.log_event("account.revoked", request, user=person.username, provider=provider)
    if not is_told:
        text = gettext(
            "Nothing here can use the account any more. The other site could not be told: "
            "remove this site there, too."
        )
        messages.warning(request, text)


def _title(row: OAuthGrant) -> str:
    """Return what people call the provider; its name where the settings have it no more."""
    try:
        return find_provider(row.provider).title
    except ImproperlyConfigured:
        return row.provider

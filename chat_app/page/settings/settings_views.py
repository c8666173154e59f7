"""The page on which a reader chooses. It works without the script, and for who is not signed in."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from chat_app.inbox import pending_counts
from chat_app.page.common import back_to, origin_conversation, site_context
from chat_app.page.entries import settings_entries
from chat_app.page.settings.preferences import PREFERENCES, SWITCHES
from chat_app.page.settings.script_texts import ATTENTION
from sessions_app.storage import reads


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
async def settings(request: HttpRequest) -> HttpResponse:
    """Show and save the preferences; saving leads back to the conversation it was opened from, if
    any.
    """
    origin = origin_conversation(request.POST if request.method == "POST" else request.GET)
    if request.method == "POST":
        response = back_to(origin) if origin else redirect("chat:settings")
        for preference in (*PREFERENCES, *SWITCHES):
            preference.keep(response, request.POST.get(preference.name))
        return response
    preferences = [(preference, preference.choice_of(request)) for preference in PREFERENCES]
    user = await request.auser()
    counts = (
        await reads.read_for(user.pk, pending_counts.count_waiting, [user.pk])
        if user.is_authenticated
        else {}
    )
    context = {
        **site_context(),
        "preferences": preferences,
        "switches": [(switch, switch.choice_of(request) == "on") for switch in SWITCHES],
        "words": ATTENTION,
        "here": origin,
        "entries": settings_entries.offered() if user.is_authenticated else [],
        "is_known": user.is_authenticated,
        "person_id": str(user.pk),
        "waiting": sum(count.prompts for count in counts.values()),
    }
    return render(request, "chat_app/settings.html", context)

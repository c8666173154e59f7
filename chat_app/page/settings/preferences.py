"""The preferences of a reader for pages, kept in cookies, so that guests have preferences, too."""

from dataclasses import dataclass

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.functional import Promise
from django.utils.translation import get_language_info, pgettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from chat_app.identity.request_facts import user_of
from chat_app.inbox import pending_counts
from chat_app.page.common import back_to, is_script, origin_conversation, site_context
from chat_app.page.settings.script_texts import ATTENTION, WORDS
from sessions_app.storage import reads

# Languages with translations of the chat. A site may offer fewer by Django's LANGUAGES.
LANGUAGES = ("en", "de", "ja")
A_YEAR = 365 * 24 * 3600


@dataclass(frozen=True, slots=True)
class Preference:
    """A preference of the reader. The first choice is the default."""

    name: str
    cookie: str
    title: Promise
    choices: dict[str, Promise | str]

    @property
    def usual(self) -> str:
        """The default value of the preference, which is its first choice."""
        return next(iter(self.choices))

    def choice_of(self, request: HttpRequest | None) -> str:
        """Return the reader's choice; the default without a request, as on some error pages."""
        value = request.COOKIES.get(self.cookie) if request else None
        return value if value in self.choices else self.usual

    def keep(self, response: HttpResponse, value: str | None) -> None:
        """Store the value in the cookie; ignore a value that is not among the choices."""
        if value not in self.choices:
            return
        if value == self.usual:
            response.delete_cookie(self.cookie, path=settings.SESSION_COOKIE_PATH, samesite="Lax")
            return
        response.set_cookie(
            self.cookie,
            value,
            max_age=A_YEAR,
            path=settings.SESSION_COOKIE_PATH,
            secure=settings.SESSION_COOKIE_SECURE,
            httponly=True,
            samesite="Lax",
        )


def _language() -> Preference:
    """Build the preference of the language, stored in the cookie that Django reads."""
    codes = [code for code, _name in settings.LANGUAGES if code in LANGUAGES]
    names = {code: get_language_info(code)["name_local"] for code in codes}
    choices = {"": pgettext_lazy("hitl", "Browser default"), **names}
    return Preference(
        "language", settings.LANGUAGE_COOKIE_NAME, pgettext_lazy("hitl", "Language"), choices
    )


PREFERENCES = (
    Preference(
        "theme",
        "chat_theme",
        pgettext_lazy("hitl", "Theme"),
        {
            "system": pgettext_lazy("hitl", "System"),
            "light": pgettext_lazy("hitl", "Light"),
            "dark": pgettext_lazy("hitl", "Dark"),
        },
    ),
    Preference(
        "text",
        "chat_text",
        pgettext_lazy("hitl", "Text size"),
        {
            "normal": pgettext_lazy("hitl", "Normal"),
            "large": pgettext_lazy("hitl", "Large"),
            "larger": pgettext_lazy("hitl", "Larger"),
        },
    ),
    Preference(
        "enter",
        "chat_enter",
        pgettext_lazy("hitl", "Sending messages"),
        {
            "sends": pgettext_lazy("hitl", "Enter sends, Shift+Enter adds a line"),
            "breaks": pgettext_lazy("hitl", "Ctrl+Enter sends, Enter adds a line"),
        },
    ),
    _language(),
)

# Switches for the chime and the notifications of pages in the background.
SWITCHES = tuple(
    Preference(name, f"chat_{name}", title, {"off": "", "on": ""})
    for name, title in (
        ("chime", pgettext_lazy("hitl", "Chime")),
        ("notification", pgettext_lazy("hitl", "Notification")),
    )
)


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
async def show(request: HttpRequest) -> HttpResponse:
    """Show and save the preferences.

    Saving redirects to the conversation that linked here, if any, unless the script saves.
    """
    origin = origin_conversation(request.POST if request.method == "POST" else request.GET)
    if request.method == "POST":
        response = back_to(origin) if origin else redirect("chat:settings")
        if is_script(request):
            response = HttpResponse(status=204)
        for preference in (*PREFERENCES, *SWITCHES):
            preference.keep(response, request.POST.get(preference.name))
        return response
    preferences = [(preference, preference.choice_of(request)) for preference in PREFERENCES]
    user = await user_of(request)
    waiting = 0
    if user.is_authenticated:
        counts = await reads.read_for(user.pk, pending_counts.count_waiting, [user.pk])
        waiting = counts[user.pk].prompts
    context = {
        **site_context(),
        "preferences": preferences,
        "switches": [(switch, switch.choice_of(request) == "on") for switch in SWITCHES],
        "words": WORDS | ATTENTION,
        "here": origin,
        "is_known": user.is_authenticated,
        "person_id": str(user.pk),
        "waiting": waiting,
    }
    return render(request, "chat_app/settings.html", context)

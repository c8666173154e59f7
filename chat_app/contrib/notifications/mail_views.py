"""The pages for a person's mail preference. Both pages work without the script."""

from zoneinfo import available_timezones

from django import forms
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import pgettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from chat_app.contrib.notifications.mail import preference_of, read_token
from chat_app.contrib.notifications.models import MailPreference
from chat_app.contrib.notifications.settings import NotificationSettings
from chat_app.page.common import personal, site_context
from sessions_app.models.people import read_user_id

# Labels for people; the model's labels are for the admin.
MODES = (
    ("off", pgettext_lazy("hitl", "Never")),
    ("now", pgettext_lazy("hitl", "Right away")),
    ("daily", pgettext_lazy("hitl", "Daily")),
)


class MailForm(forms.ModelForm):  # type: ignore[type-arg] # generic only in the stubs
    """The form for a person's mail preference."""

    mode = forms.ChoiceField(  # declared, as Django's own field would offer an empty choice
        label=pgettext_lazy("hitl", "E-mail me about waiting questions"),
        choices=MODES,
        widget=forms.RadioSelect,
    )
    zone = forms.ChoiceField(
        label=pgettext_lazy("hitl", "Time zone"),
        choices=[(zone, zone) for zone in sorted(available_timezones())],
    )

    class Meta:
        model = MailPreference
        fields = ("mode", "hour", "quiet_from", "quiet_until", "zone")
        labels = {
            "hour": pgettext_lazy("hitl", "Time of the daily e-mail"),
            "quiet_from": pgettext_lazy("hitl", "Quiet hours from"),
            "quiet_until": pgettext_lazy("hitl", "until"),
        }
        widgets = {
            "quiet_from": forms.TimeInput(attrs={"type": "time"}, format="%H:%M"),
            "quiet_until": forms.TimeInput(attrs={"type": "time"}, format="%H:%M"),
        }

    def clean(self) -> dict[str, object] | None:
        """Check that quiet hours have both a start and an end, or neither."""
        data = super().clean() or {}
        if (data.get("quiet_from") is None) != (data.get("quiet_until") is None):
            self.add_error("quiet_until", pgettext_lazy("hitl", "Enter both times, or neither."))
        return data


@personal("GET", "POST")
def mail_settings(request: HttpRequest) -> HttpResponse:
    """Show and save the person's mail preference."""
    if not NotificationSettings.load().MAIL:
        raise Http404
    preference = preference_of(read_user_id(request.user.pk))
    form = MailForm(request.POST or None, instance=preference, label_suffix="")
    if form.is_valid():
        form.save()
        return redirect("chat:settings")
    status = 422 if form.errors else 200
    return render(
        request, "hitl_notifications/settings.html", {**site_context(), "form": form}, status=status
    )


# Mail programs post without our page and so without a CSRF token; the signed token in the URL
# identifies the person.
@csrf_exempt
@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
def unsubscribe(request: HttpRequest, token: str) -> HttpResponse:
    """Stop a person's mails by a link from a mail. No sign-in is needed; a GET changes nothing."""
    user = read_token(token)
    if user is None:
        raise Http404
    done = request.method == "POST"
    if done:
        preferences = MailPreference.objects.filter(pk=user)
        preferences.update(mode=MailPreference.Mode.OFF)
    context = {**site_context(), "done": done}
    return render(request, "hitl_notifications/unsubscribe.html", context)

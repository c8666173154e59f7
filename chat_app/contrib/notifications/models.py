"""The models of the notifications application."""

from django.conf import settings
from django.core.validators import MaxValueValidator
from django.db import models
from django.utils.timezone import get_default_timezone_name
from django.utils.translation import pgettext_lazy


class MailPreference(models.Model):
    """A person's preference for e-mail about questions; without a row the site's MAIL applies."""

    class Mode(models.TextChoices):
        OFF = "off", pgettext_lazy("hitl", "never")
        NOW = "now", pgettext_lazy("hitl", "at once")
        DAILY = "daily", pgettext_lazy("hitl", "once a day")

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+", primary_key=True
    )
    mode = models.CharField(max_length=5, choices=Mode.choices)
    # The hour of the daily mail and the quiet hours, in the person's time zone.
    hour = models.PositiveSmallIntegerField(default=8, validators=[MaxValueValidator(23)])
    quiet_from = models.TimeField(null=True, blank=True)
    quiet_until = models.TimeField(null=True, blank=True)
    zone = models.CharField(max_length=50, default=get_default_timezone_name)
    # Time of the last mail. That mail listed all questions that waited at the time.
    mailed_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"{self.user}: {self.mode}"

"""The Django application of the runtime."""

from django.apps import AppConfig
from django.utils.module_loading import autodiscover_modules


class SessionsAppConfig(AppConfig):
    """Finds the workflows of the installed applications, as Django's admin finds its own."""

    name = "sessions_app"
    verbose_name = "Sessions"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        autodiscover_modules("workflows")

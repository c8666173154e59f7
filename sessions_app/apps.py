"""The Django application of the runtime."""

from django.apps import AppConfig
from django.conf import settings
from django.utils.module_loading import autodiscover_modules

from sessions_app.config import ConfigError, RuntimeConfig


class SessionsAppConfig(AppConfig):
    """Finds the workflows of the installed applications, as Django's admin finds its own.

    Those that the configuration names are offered.
    """

    name = "sessions_app"
    verbose_name = "Sessions"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Read the configuration; one that does not fit ends the process with a sentence."""
        autodiscover_modules("workflows")
        # It imports models, which can be imported from here on only.
        from sessions_app.workflows import registry  # noqa: PLC0415

        try:
            registry.offer(
                RuntimeConfig.load(settings.WORKFLOWS_FILE, extra=settings.EXTRA_WORKFLOWS)
            )
        except ConfigError as error:
            raise SystemExit(str(error)) from None

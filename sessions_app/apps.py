"""The Django application of the runtime."""

import os

from django.apps import AppConfig, apps
from django.core.exceptions import ImproperlyConfigured
from django.db.backends.signals import connection_created
from django.db.models.signals import pre_migrate
from django.utils.module_loading import autodiscover_modules, import_string
from django.utils.translation import pgettext_lazy

from sessions_app.settings import RuntimeSettings, Section, check
from sessions_app.storage.connections import prepare, prepare_to_migrate


class SessionsAppConfig(AppConfig):
    """The configuration of the application, which imports each application's `workflows` module.

    Only workflows named in the configuration are offered; without a configuration, all.
    """

    name = "sessions_app"
    verbose_name = pgettext_lazy("hitl", "Workflows")
    default_auto_field = "django.db.models.BigAutoField"
    is_read_from_primary = True
    settings_section: type[Section] = RuntimeSettings

    def ready(self) -> None:
        """Read the configuration; an invalid one ends the process with a message."""
        if os.name != "posix":
            raise SystemExit(
                "django-durable-hitl runs on Linux and macOS: it limits its processes by signals "
                "that Windows lacks. On Windows use WSL or a container."
            )
        connection_created.connect(prepare, dispatch_uid="sessions_app.prepare")
        pre_migrate.connect(
            prepare_to_migrate, sender=self, dispatch_uid="sessions_app.prepare_to_migrate"
        )
        try:
            check()
            autodiscover_modules("workflows")
            # Import late: these modules import models, which are ready only now.
            import_string("sessions_app.workflows.registry.offer_configured")()
            import_string("sessions_app.lifecycle.requirements.check_project")
            if apps.is_installed("procrastinate.contrib.django"):
                import_string("sessions_app.hosting.dispatch.stand_ins.register")()
        except ImproperlyConfigured as error:
            raise SystemExit(str(error)) from None

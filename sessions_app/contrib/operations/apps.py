"""The Django application of operators."""

from django.apps import AppConfig
from django.utils.module_loading import import_string
from django.utils.translation import pgettext_lazy


class OperationsConfig(AppConfig):
    """The configuration of the application. Django itself imports its module `admin`."""

    name = "sessions_app.contrib.operations"
    label = "hitl_operations"
    verbose_name = pgettext_lazy("hitl", "Operations")

    def ready(self) -> None:
        """Register the checks of a deployment with `manage.py check --deploy`."""
        # Import late: the checks import models, which are not loaded before ready().
        import_string("sessions_app.contrib.operations.doctor.deployment.check_deployment")

"""The Django application of replays."""

from django.apps import AppConfig
from django.utils.module_loading import import_string


class ReplayConfig(AppConfig):
    name = "sessions_app.contrib.replay"
    label = "hitl_replay"

    def ready(self) -> None:
        """Register the check of waiting runs with each hosting process."""
        # Import late: these modules import models, which are not loaded before `ready`.
        works = import_string("sessions_app.lifecycle.startup.beside_hosting")
        check = "sessions_app.contrib.replay.waiting_runs_check.check_after_start"
        works["replay check"] = import_string(check)

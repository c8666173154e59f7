"""The Django application of replays."""

from django.apps import AppConfig
from django.utils.module_loading import import_string


class ReplayConfig(AppConfig):
    name = "sessions_app.contrib.replay"
    label = "hitl_replay"

    def ready(self) -> None:
        """Have each process that hosts check the waiting runs after its start."""
        # They import models, which can be imported from here on only.
        works = import_string("sessions_app.lifecycle.startup.beside_hosting")
        check = "sessions_app.contrib.replay.waiting_runs_check.check_after_start"
        works["replay check"] = import_string(check)

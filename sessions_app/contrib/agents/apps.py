"""The Django application of agents, and of workflows that other frameworks describe."""

from django.apps import AppConfig
from django.utils.module_loading import import_string
from django.utils.translation import pgettext_lazy


class AgentsConfig(AppConfig):
    """The configuration of the application. Its module `workflows` adds the source `nat`."""

    name = "sessions_app.contrib.agents"
    label = "hitl_agents"
    verbose_name = pgettext_lazy("hitl", "Agents")
    default_auto_field = "django.db.models.BigAutoField"
    is_read_from_primary = True

    def ready(self) -> None:
        """Register the fork limit for runs with a graph, whose state is not in the journal."""
        limits = import_string("sessions_app.conversations.forks.limits")
        limits.append(import_string("sessions_app.contrib.agents.models.fork_limit"))

"""The Django application of the front end."""

from django.apps import AppConfig
from django.utils.module_loading import import_string
from django.utils.translation import pgettext_lazy

from chat_app import checks  # noqa: F401 - registers the checks
from chat_app.settings import ChatSettings
from sessions_app.settings import Section


class ChatAppConfig(AppConfig):
    """The configuration of the application: the socket, the HTTP API and the pages."""

    name = "chat_app"
    verbose_name = pgettext_lazy("hitl", "Chat")
    default_auto_field = "django.db.models.BigAutoField"
    is_read_from_primary = True
    settings_section: type[Section] = ChatSettings
    # URL name of a conversation's page, for links from other applications.
    conversation_url = "chat:conversation"

    def ready(self) -> None:
        """Connect the signal receivers for ended identities, sign-ins and wrong passwords."""
        # Import the receivers here: they need the models, which are loaded by now.
        for module in ("revocation", "audit", "sign_in"):
            import_string(f"chat_app.identity.{module}.connect")()

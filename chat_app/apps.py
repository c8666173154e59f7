"""The Django application of what people and clients touch."""

from django.apps import AppConfig
from django.utils.module_loading import import_string
from django.utils.translation import gettext_lazy as _

from chat_app import checks  # noqa: F401 - it registers them
from chat_app.settings import ChatSettings
from sessions_app.settings import Section


class ChatAppConfig(AppConfig):
    """The configuration of the application: the wire and the page."""

    name = "chat_app"
    verbose_name = _("Chat")
    default_auto_field = "django.db.models.BigAutoField"
    settings_section: type[Section] = ChatSettings
    # The name of the URL of a conversation's page, to which pages of other applications link.
    conversation_url = "chat:conversation"

    def ready(self) -> None:
        """Connect receivers for ended identities, sign-ins, and refusals."""
        # They need the models, which can be imported from here on only.
        for module in ("revocation", "audit", "sign_in"):
            import_string(f"chat_app.identity.{module}.connect")()

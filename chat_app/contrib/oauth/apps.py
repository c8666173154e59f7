"""The Django application of consents to act for a person elsewhere."""

from django.apps import AppConfig
from django.utils.translation import pgettext_lazy

from chat_app.contrib.oauth.settings import OAuthSettings
from chat_app.page.entries import MenuEntry, settings_entries
from sessions_app.settings import Section


class OAuthConfig(AppConfig):
    """The configuration of the application: its settings, its pages."""

    name = "chat_app.contrib.oauth"
    label = "hitl_oauth"
    verbose_name = pgettext_lazy("hitl", "Connected accounts")
    default_auto_field = "django.db.models.BigAutoField"
    is_read_from_primary = True
    settings_section: type[Section] = OAuthSettings
    chat_urls = "chat_app.contrib.oauth.urls"

    def ready(self) -> None:
        """Offer the page of connected accounts if providers are configured."""
        title = pgettext_lazy("hitl", "Connected accounts")
        settings_entries.add(
            MenuEntry(title, "chat:accounts", lambda: bool(OAuthSettings.load().OAUTH_PROVIDERS))
        )

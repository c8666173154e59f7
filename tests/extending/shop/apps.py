"""The Django application of the shop."""

from django.apps import AppConfig
from django.utils.module_loading import import_string

from chat_app.page.entries import MenuEntry, settings_entries, sidebar_entries
from sessions_app.settings import Section
from tests.extending.shop.settings import ShopSettings


class ShopConfig(AppConfig):
    """The configuration of the application: its settings, its pages, what it connects."""

    name = "tests.extending.shop"
    settings_section: type[Section] = ShopSettings
    chat_urls = "tests.extending.shop.urls"

    def ready(self) -> None:
        """Connect the channel, the guard and the checks, and link the page."""
        # They need models, which can be imported from here on only.
        for module in ("channel", "forks", "checks"):
            import_string(f"{self.name}.{module}.connect")()
        hours = MenuEntry("Opening hours", "chat:hours", is_offered=lambda: True)
        settings_entries.add(hours)
        sidebar_entries.add(hours)

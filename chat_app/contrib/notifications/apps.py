"""The Django application of notices about questions."""

from django.apps import AppConfig
from django.utils.module_loading import import_string
from django.utils.translation import pgettext_lazy

from chat_app.contrib.notifications.settings import NotificationSettings
from chat_app.page.entries import MenuEntry, settings_entries
from sessions_app.settings import Section


class NotificationsConfig(AppConfig):
    """The configuration of the application: settings, pages and signal receivers."""

    name = "chat_app.contrib.notifications"
    label = "hitl_notifications"
    verbose_name = pgettext_lazy("hitl", "Notifications")
    default_auto_field = "django.db.models.BigAutoField"
    is_read_from_primary = True
    settings_section: type[Section] = NotificationSettings
    chat_urls = "chat_app.contrib.notifications.urls"

    def ready(self) -> None:
        """Connect the signal receivers; offer the e-mail settings page if e-mail is configured."""
        # The receivers import models, and models cannot be imported before `ready()`.
        import_string("chat_app.contrib.notifications.notices.connect")()
        title = pgettext_lazy("hitl", "E-mail about questions")
        settings_entries.add(
            MenuEntry(title, "chat:mail_settings", lambda: bool(NotificationSettings.load().MAIL))
        )

"""The Django application of notices about questions."""

from django.apps import AppConfig
from django.utils.module_loading import import_string
from django.utils.translation import gettext_lazy as _

from chat_app.contrib.notifications.settings import NotificationSettings
from chat_app.page.entries import Entry, settings_entries
from sessions_app.settings import Section


class NotificationsConfig(AppConfig):
    """The configuration of the application: its settings, its pages, its receivers."""

    name = "chat_app.contrib.notifications"
    label = "hitl_notifications"
    verbose_name = _("Notifications")
    default_auto_field = "django.db.models.BigAutoField"
    settings_section: type[Section] = NotificationSettings
    chat_urls = "chat_app.contrib.notifications.urls"

    def ready(self) -> None:
        """Connect the receivers, and offer the page of e-mail where there is e-mail."""
        # The receivers need the models, which can be imported from here on only.
        import_string("chat_app.contrib.notifications.notices.connect")()
        title = _("E-mail about questions")
        settings_entries.add(
            Entry(title, "chat:mail_settings", lambda: bool(NotificationSettings.load().MAIL))
        )

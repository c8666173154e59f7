"""The Django application of what people and clients touch."""

from django.apps import AppConfig


class ChatAppConfig(AppConfig):
    """The wire and the page."""

    name = "chat_app"
    verbose_name = "Chat"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Listen for what ends an identity."""
        from chat_app import revocation  # noqa: PLC0415 - it needs the models, which come later

        revocation.connect()

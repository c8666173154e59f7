"""The models of the front end: socket cursors and API keys."""

from django.conf import settings
from django.db import models
from django.utils.translation import pgettext_lazy

from sessions_app.models import Conversation


class SocketCursor(models.Model):
    """The positions at which a user's last socket on a conversation was closed.

    The row exists while no socket is open, and lets a client without a cursor of its own continue
    after a reconnect: see `chat_app.feed.cursors`.
    """

    conversation = models.ForeignKey(Conversation, on_delete=models.CASCADE, related_name="+")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    # The client has all events up to this one.
    sequence = models.BigIntegerField()
    # The client may have events up to this one. Null in rows of older versions, whose `sequence` is
    # this position.
    sent = models.BigIntegerField(null=True)

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["conversation", "user"], name="socket_cursor_unique"),
        )

    def __str__(self) -> str:
        return f"{self.conversation_id} {self.user_id}: {self.sequence}"


class ApiKey(models.Model):
    """A key by which a program acts for a user. The database has only its hash."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        related_name="+",
        verbose_name=pgettext_lazy("hitl", "user"),
    )
    name = models.CharField(
        max_length=100,
        help_text=pgettext_lazy("hitl", "What it is for: the program that has it."),
        verbose_name=pgettext_lazy("hitl", "name"),
    )
    prefix = models.CharField(
        max_length=16, unique=True, verbose_name=pgettext_lazy("hitl", "prefix")
    )
    salt = models.CharField(max_length=32)
    digest = models.CharField(max_length=64)
    created_at = models.DateTimeField(auto_now_add=True, verbose_name=pgettext_lazy("hitl", "made"))
    last_used_at = models.DateTimeField(
        null=True, blank=True, verbose_name=pgettext_lazy("hitl", "last used")
    )
    revoked_at = models.DateTimeField(
        null=True, blank=True, verbose_name=pgettext_lazy("hitl", "revoked")
    )

    # The clear-text key, which exists only in the request that creates it, and is never stored.
    plain = ""

    class Meta:
        verbose_name = pgettext_lazy("hitl", "API key")
        verbose_name_plural = pgettext_lazy("hitl", "API keys")

    def __str__(self) -> str:
        return f"{self.prefix} ({self.name})"

"""What the front end keeps for itself."""

from django.conf import settings
from django.db import models

from sessions_app.models import Conversation


class SocketCursor(models.Model):
    """How far a user's last socket on a conversation had come when it closed.

    There while no socket is open: a plain client that comes back goes on from here.
    """

    conversation = models.ForeignKey(Conversation, on_delete=models.CASCADE, related_name="+")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    sequence = models.BigIntegerField()

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["conversation", "user"], name="socket_cursor_unique"),
        )

    def __str__(self) -> str:
        return f"{self.conversation_id} {self.user_id}: {self.sequence}"

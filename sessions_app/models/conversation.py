"""A conversation: one chat between a user and a workflow."""

import uuid

from django.conf import settings
from django.db import models


class Conversation(models.Model):
    """Found by (owner, conversation_id): the client's own name for it, unique per owner."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    # No index of its own: the unique constraint's begins with it.
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        related_name="conversations",
        db_index=False,
    )
    conversation_id = models.CharField(max_length=200)
    workflow = models.CharField(max_length=100)
    title = models.CharField(max_length=200)
    # The highest sequence given out. Taken by an UPDATE of this row inside the transaction that
    # writes the event, so that the log has no gaps and no reader can pass one.
    last_sequence = models.BigIntegerField(default=0)
    created_at = models.DateTimeField()
    # No index: each event sets it, and PostgreSQL writes to all indexes of a row where one changes.
    updated_at = models.DateTimeField()

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=["owner", "conversation_id"], name="conversation_unique_per_owner"
            ),
        )

    def __str__(self) -> str:
        return self.title or self.conversation_id

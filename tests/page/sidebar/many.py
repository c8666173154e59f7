"""Many conversations of a person."""

from datetime import timedelta

from django.contrib.auth.models import User
from django.utils import timezone

from sessions_app.models import Conversation


def fill(owner: User, count: int, *, deleted: int = 0) -> None:
    """Conversations in which nothing happened, the newest first; each so-and-so-many is deleted."""
    now = timezone.now()
    Conversation.objects.bulk_create(
        Conversation(
            owner=owner,
            conversation_id=f"o{number}",
            title=f"Other {number}",
            workflow="none",
            created_at=now,
            updated_at=now,
            listed_at=now - timedelta(minutes=number),
            deleted_at=now if deleted and number % deleted == 0 else None,
        )
        for number in range(count)
    )

"""A host's lease on its key."""

from uuid import UUID

from django.db import models
from django.utils.translation import gettext_lazy as _


class HostKey(str):
    """A key that one host owns, as `kind:subject:workflow`: runs of a user, or of a
    conversation.
    """

    __slots__ = ()
    # How the keys of conversations begin.
    CONVERSATION = "conversation:"

    @classmethod
    def of_user(cls, name: str, workflow: str) -> "HostKey":
        """Return the key of a workflow with a per-user builder. `name`: see `people.name_of`."""
        return cls(f"user:{name}:{workflow}")

    @classmethod
    def of_conversation(cls, conversation: UUID, workflow: str) -> "HostKey":
        """Return the key of a conversation of a shared workflow."""
        return cls(f"{cls.CONVERSATION}{conversation}:{workflow}")

    @property
    def workflow(self) -> str:
        """The name of the workflow."""
        return self.split(":", 2)[2]

    @property
    def user(self) -> str:
        """The user whose builder the host keeps; empty for a shared workflow."""
        return "" if self.startswith(self.CONVERSATION) else self.split(":", 2)[1]


class HostLease(models.Model):
    """The lease of a key: who drives its runs. A raised `generation` fences off every earlier
    host.
    """

    key = models.CharField(max_length=200, primary_key=True)
    generation = models.BigIntegerField(default=0)
    worker = models.CharField(max_length=200)
    workflow = models.CharField(max_length=100, verbose_name=_("workflow"))
    # The user whose builder the host keeps; empty for a shared workflow.
    user_id = models.CharField(max_length=100, blank=True)
    started_at = models.DateTimeField()
    last_activity = models.DateTimeField()
    released_at = models.DateTimeField(null=True, blank=True)
    # An operator wants the builder closed; its host does so once nothing uses it, and clears this.
    evict_requested_at = models.DateTimeField(null=True, blank=True)
    # Of the builder: total_requests, error_count, total_latency_ms, ref_count.
    metrics = models.JSONField(default=dict)

    class Meta:
        verbose_name = _("host")
        verbose_name_plural = _("hosts")

    def __str__(self) -> str:
        whose = f"user {self.user_id}" if self.user_id else "one conversation"
        return f"{self.workflow} for {whose}"

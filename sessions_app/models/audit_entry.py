"""An audit entry: an event of an assigned prompt, with its actor and origin."""

from typing import Any, NoReturn

from django.db import models
from django.utils.translation import pgettext_lazy

REFUSED = "The audit is append-only: its entries are neither changed nor deleted."


class AppendOnly(models.QuerySet["AuditEntry"]):
    """A queryset that only reads and inserts."""

    def _refuse(self, *_args: object, **_kwargs: object) -> NoReturn:
        raise TypeError(REFUSED)

    update = bulk_update = update_or_create = delete = _refuse
    aupdate = abulk_update = aupdate_or_create = adelete = _refuse


class AuditEntry(models.Model):
    """An entry of the audit, written in the transaction of its event, and never changed.

    The entry outlives its subject, so its references are plain values, not foreign keys.

    Append-only is enforced by this class and the admin, not by database triggers: a role that may
    drop tables may also drop triggers, and triggers would keep a project's tests from emptying the
    tables. Only `lifecycle.retention` deletes entries, by plain SQL.
    """

    class Action(models.TextChoices):
        OPENED = "opened", pgettext_lazy("hitl", "opened")
        SHOWN = "shown", pgettext_lazy("hitl", "shown")
        CLAIMED = "claimed", pgettext_lazy("hitl", "claimed")
        RELEASED = "released", pgettext_lazy("hitl", "released")
        DELEGATED = "delegated", pgettext_lazy("hitl", "delegated")
        REASSIGNED = "reassigned", pgettext_lazy("hitl", "reassigned")
        ESCALATED = "escalated", pgettext_lazy("hitl", "escalated")
        VOTED = "voted", pgettext_lazy("hitl", "voted")
        ANSWERED = "answered", pgettext_lazy("hitl", "answered")
        EXPIRED = "expired", pgettext_lazy("hitl", "expired")
        CANCELLED = "cancelled", pgettext_lazy("hitl", "cancelled")

    # Actions that may give a prompt to other people.
    HANDED_ON = (Action.DELEGATED, Action.REASSIGNED, Action.ESCALATED)
    # Actions that change a prompt's claim or candidates.
    CHANGES = (Action.CLAIMED, Action.RELEASED, *HANDED_ON)

    interaction = models.UUIDField()
    run = models.UUIDField()
    workflow = models.CharField(max_length=100, verbose_name=pgettext_lazy("hitl", "workflow"))
    # The first line of the prompt's text.
    question = models.CharField(max_length=200)
    action = models.CharField(
        max_length=10, choices=Action.choices, verbose_name=pgettext_lazy("hitl", "what happened")
    )
    at = models.DateTimeField(verbose_name=pgettext_lazy("hitl", "time"))
    # The actor's primary key as text, and the username at that time. Both are kept after the user
    # is deleted, and are empty for an event without an actor, such as a deadline or an escalation.
    by = models.CharField(max_length=200, blank=True)
    by_name = models.CharField(max_length=200, blank=True)
    via = models.CharField(max_length=20, blank=True, verbose_name=pgettext_lazy("hitl", "from"))
    # The actor's network address; empty for an event without an actor, such as a deadline.
    address = models.CharField(
        max_length=100, blank=True, verbose_name=pgettext_lazy("hitl", "address")
    )
    detail = models.JSONField(default=dict)

    objects = AppendOnly.as_manager()

    class Meta:
        verbose_name = pgettext_lazy("hitl", "audit entry")
        verbose_name_plural = pgettext_lazy("hitl", "audit entries")
        indexes = (
            models.Index(fields=["interaction", "at"], name="audit_interaction"),
            models.Index(fields=["at"], name="audit_at"),
            # Index for the search for an actor, which would otherwise read the whole table.
            models.Index(fields=["by_name"], name="audit_by_name"),
        )
        constraints = (
            # Store only the first `shown` entry per person and prompt.
            models.UniqueConstraint(
                fields=["interaction", "by"],
                name="audit_unique_shown",
                condition=models.Q(action="shown"),
            ),
        )

    def __str__(self) -> str:
        return f"{self.action} {self.by_name}: {self.question}".replace(" :", ":")

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Insert the entry; raise TypeError if it already exists."""
        if not self._state.adding:
            raise TypeError(REFUSED)
        super().save(*args, **kwargs)

    def delete(self, *args: object, **kwargs: object) -> NoReturn:
        """Refuse to delete: raise TypeError."""
        raise TypeError(REFUSED)

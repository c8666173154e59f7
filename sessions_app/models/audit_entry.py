"""An audit entry: what happened to an assigned prompt, by whom, from where."""

from typing import Any, NoReturn

from django.db import models
from django.utils.translation import gettext_lazy as _

REFUSED = "The audit is append-only: its entries are neither changed nor deleted."


class AppendOnly(models.QuerySet["AuditEntry"]):
    """Rows that are read and added. Nothing else is offered, to no part of a project."""

    def _refuse(self, *_args: object, **_kwargs: object) -> NoReturn:
        raise TypeError(REFUSED)

    update = bulk_update = update_or_create = delete = _refuse
    aupdate = abulk_update = aupdate_or_create = adelete = _refuse


class AuditEntry(models.Model):
    """An entry of the audit, written in the transaction of its event, and never changed. It
    outlives what it is about, which is why it names that without keys.

    Append-only by this class and the admin, not by triggers of the database: who may drop tables
    may drop those too, and they would keep a project's own tests from emptying its tables. Only
    `operations.retention` deletes, by plain SQL.
    """

    class Action(models.TextChoices):
        OPENED = "opened", _("opened")
        SHOWN = "shown", _("shown")
        CLAIMED = "claimed", _("claimed")
        RELEASED = "released", _("released")
        DELEGATED = "delegated", _("delegated")
        REASSIGNED = "reassigned", _("reassigned")
        ESCALATED = "escalated", _("escalated")
        VOTED = "voted", _("voted")
        ANSWERED = "answered", _("answered")
        EXPIRED = "expired", _("expired")
        CANCELLED = "cancelled", _("cancelled")

    # After these a prompt may be others' than before.
    HANDED_ON = (Action.DELEGATED, Action.REASSIGNED, Action.ESCALATED)

    interaction = models.UUIDField()
    run = models.UUIDField()
    workflow = models.CharField(max_length=100, verbose_name=_("workflow"))
    # The first line of the prompt.
    question = models.CharField(max_length=200)
    action = models.CharField(
        max_length=10, choices=Action.choices, verbose_name=_("what happened")
    )
    at = models.DateTimeField(verbose_name=_("time"))
    # Empty where nobody did it: a deadline, an escalation.
    # The user's primary key as a text, and the user name then: both stay when the user goes.
    by = models.CharField(max_length=200, blank=True)
    by_name = models.CharField(max_length=200, blank=True)
    via = models.CharField(max_length=20, blank=True, verbose_name=_("from"))
    # From where; empty where there is no such place, as of a deadline.
    address = models.CharField(max_length=100, blank=True, verbose_name=_("address"))
    detail = models.JSONField(default=dict)

    objects = AppendOnly.as_manager()

    class Meta:
        verbose_name = _("audit entry")
        verbose_name_plural = _("audit entries")
        indexes = (
            models.Index(fields=["interaction", "at"], name="audit_interaction"),
            models.Index(fields=["at"], name="audit_at"),
            # Else who looks for what a person did would read all.
            models.Index(fields=["by_name"], name="audit_by_name"),
        )
        constraints = (
            # Each person opens a prompt once, as far as this goes.
            models.UniqueConstraint(
                fields=["interaction", "by"],
                name="audit_unique_shown",
                condition=models.Q(action="shown"),
            ),
        )

    def __str__(self) -> str:
        return f"{self.action} {self.by_name}: {self.question}".replace(" :", ":")

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Insert the entry. Raises TypeError if it is there already."""
        if not self._state.adding:
            raise TypeError(REFUSED)
        super().save(*args, **kwargs)

    def delete(self, *args: object, **kwargs: object) -> NoReturn:
        """Refuse to delete: raise TypeError."""
        raise TypeError(REFUSED)

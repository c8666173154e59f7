"""The signal receivers that choose recipients and times of notices. Receivers block."""

from collections.abc import Iterator
from datetime import datetime

from django.dispatch import Signal
from django.utils import timezone
from django.utils.translation import pgettext, pgettext_lazy

from chat_app.contrib.notifications import mail, webhook
from chat_app.contrib.notifications.settings import NotificationSettings
from sessions_app.interactions.answerers import PromptAudience, answerers
from sessions_app.json_types import JsonObject
from sessions_app.logs import Log
from sessions_app.models import Interaction, PendingSignal
from sessions_app.models.people import read_user_id
from sessions_app.signals import (
    interaction_assigned,
    interaction_due_soon,
    interaction_opened,
    interaction_settled,
    notice_due,
    pending_signals,
)
from sessions_app.signals.notice_kinds import NoticeKind, add_kind
from sessions_app.signals.pending_signals import Notice
from sessions_app.storage.faults import is_fault
from sessions_app.storage.writer import writer

log = Log(__name__)
Outcome = PendingSignal.Outcome
# The event type that webhooks send for each Django signal, and the label that operators see.
EVENTS = {
    interaction_opened: ("prompt.opened", pgettext_lazy("hitl", "asked")),
    interaction_assigned: ("prompt.assigned", pgettext_lazy("hitl", "assigned")),
    interaction_due_soon: ("prompt.due_soon", pgettext_lazy("hitl", "due soon")),
    interaction_settled: ("prompt.settled", pgettext_lazy("hitl", "settled")),
}


def _mail(name: str) -> str:
    return pgettext("hitl", "mail to %(name)s") % {
        "name": name or pgettext("hitl", "a deleted user")
    }


def _webhook(event: str) -> str:
    return pgettext("hitl", "webhook: %(event)s") % {
        "event": dict(EVENTS.values()).get(event, event)
    }


def connect() -> None:
    """Register the kinds of notices; connect the receivers if e-mail or a webhook is configured."""
    add_kind(
        NoticeKind(
            "mail",
            pgettext_lazy("hitl", "mail"),
            pgettext_lazy("hitl", "mails"),
            _mail,
            is_personal=True,
        )
    )
    add_kind(
        NoticeKind(
            "webhook", pgettext_lazy("hitl", "webhook"), pgettext_lazy("hitl", "webhooks"), _webhook
        )
    )
    section = NotificationSettings.load()
    if not (section.MAIL or section.WEBHOOK_URL):
        return
    for signal, (event, _title) in EVENTS.items():
        if section.WEBHOOK_URL or signal is not interaction_settled:
            signal.connect(_store_notices, dispatch_uid=event)
    notice_due.connect(_due, dispatch_uid="attention.due")


def _store_notices(
    signal: Signal, interaction: Interaction, about: JsonObject | None = None, **_: object
) -> None:
    """Store one notice for each recipient, so that each is sent and retried separately."""
    # An occurrence tells repeated notices about one question apart. If a signal is sent again after
    # a crash, its occurrence stays the same. A prompt is opened once ("1") and settled once ("2").
    occurrence = "1" if signal is interaction_opened else "2"
    if about:
        occurrence = str(about["sequence"]) if "sequence" in about else f"{about['before']:g}"
    event, _title = EVENTS[signal]
    notices = [
        Notice(PendingSignal.NOTICE, interaction.run_id, interaction.pk, due_at, what)
        for due_at, what in _notices(interaction, event, occurrence, timezone.now())
    ]
    if notices:
        writer.write_now(lambda tx: pending_signals.put_off(tx, notices))


def _notices(
    interaction: Interaction, event: str, occurrence: str, now: datetime
) -> Iterator[tuple[datetime, JsonObject]]:
    if NotificationSettings.load().WEBHOOK_URL:
        yield now, {"webhook": event, "id": f"{interaction.pk}:{event}:{occurrence}"}
    if interaction.status != Interaction.Status.PENDING or not NotificationSettings.load().MAIL:
        return
    claimed_by = interaction.assignee_id
    for user in answerers(PromptAudience.of(interaction)):
        if claimed_by not in (None, user):
            continue
        try:
            due_at = mail.mail_time(mail.preference_of(user), now)
        except Exception as error:
            if is_fault(error):
                raise  # retry the whole signal after a database fault
            log.exception("notice.not_made", user=str(user), interaction=str(interaction.pk))
            continue
        if due_at is not None:
            yield due_at, {"mail": str(user), "since": now.isoformat()}


def _due(interaction: Interaction, about: JsonObject, **_: object) -> Outcome | datetime | None:
    """Send a notice that is due; return the outcome for operators, or a later time to try again.

    Return None for a notice of another application.
    """
    if "webhook" in about:
        return webhook.post(interaction, about["webhook"], about["id"], about["attempts"])
    if "mail" not in about:
        return None
    user, since = read_user_id(about["mail"]), datetime.fromisoformat(about["since"])
    return mail.send(user, since, at_once="at_once" in about)

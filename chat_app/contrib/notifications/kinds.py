"""The kinds of notices that are sent here, as operators read of them."""

from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from sessions_app.signals.notice_kinds import NoticeKind

# What a webhook tells of, by its type.
EVENTS = {
    "prompt.opened": _("asked"),
    "prompt.assigned": _("assigned"),
    "prompt.due_soon": _("due soon"),
    "prompt.settled": _("settled"),
}


def _mail(name: str) -> str:
    return gettext("mail to %(name)s") % {"name": name or gettext("a deleted user")}


def _webhook(event: str) -> str:
    return gettext("webhook: %(event)s") % {"event": EVENTS.get(event, event)}


MAIL = NoticeKind("mail", _("mail"), _("mails"), _mail, is_personal=True)
WEBHOOK = NoticeKind("webhook", _("webhook"), _("webhooks"), _webhook)

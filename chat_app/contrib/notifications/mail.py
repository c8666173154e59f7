"""E-mail about the questions that wait for a person: one mail for all of them, never sent twice."""

from datetime import datetime, time, timedelta, tzinfo
from email.utils import make_msgid
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser
from django.core.mail import EmailMessage
from django.core.signing import BadSignature, Signer
from django.db.models import Q
from django.template.loader import render_to_string
from django.utils import timezone, translation

from chat_app.contrib.notifications.models import MailPreference
from chat_app.contrib.notifications.settings import NotificationSettings
from chat_app.inbox import inbox_query
from sessions_app.logs import Log
from sessions_app.models import Interaction, PendingSignal
from sessions_app.models.people import UserId, read_user_id, users
from sessions_app.prompts import mark
from sessions_app.questions.question_view import QuestionView
from sessions_app.signals.daemon_calls import call_within

log = Log(__name__)
Outcome = PendingSignal.Outcome

MOST_SHOWN = 20
TIMEOUT = 10.0  # seconds for a mail in total, whatever EMAIL_TIMEOUT is
# The delay gives people who have the page open time to answer before a mail is sent.
AFTER = timedelta(minutes=1)
signer = Signer(salt="hitl_notifications.mail")


def preference_of(user: UserId) -> MailPreference:
    """Return the person's mail preference; create the site's default if none is stored. Blocks."""
    usual = {"mode": NotificationSettings.load().MAIL}
    return MailPreference.objects.get_or_create(user_id=user, defaults=usual)[0]


def zone_of(preference: MailPreference) -> tzinfo:
    """Return the person's time zone, or the site's if this machine lacks that zone."""
    try:
        return ZoneInfo(preference.zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # OSError: "America", a folder of zones
        return timezone.get_default_timezone()


def mail_time(preference: MailPreference, now: datetime) -> datetime | None:
    """Return when to mail about a question asked now; None if the person wants no mail."""
    if preference.mode == MailPreference.Mode.OFF:
        return None
    local = (now + AFTER).astimezone(zone_of(preference))
    if preference.mode == MailPreference.Mode.DAILY:
        return _next(local, time(preference.hour))
    return _end_of_quiet(preference, local) or local


def _end_of_quiet(preference: MailPreference, local: datetime) -> datetime | None:
    """Return when the person's quiet hours end, or None if `local` is outside the quiet hours."""
    at, start, end = local.time(), preference.quiet_from, preference.quiet_until
    if start is None or end is None:
        return None
    # Quiet hours may span midnight.
    is_quiet = start <= at < end if start <= end else at >= start or at < end
    return _next(local, end) if is_quiet else None


def _next(local: datetime, at: time) -> datetime:
    moment = local.replace(hour=at.hour, minute=at.minute, second=0, microsecond=0)
    return moment if moment >= local else moment + timedelta(days=1)


def send(user: UserId, since: datetime, *, at_once: bool = False) -> Outcome | datetime:
    """Mail the person their waiting questions; return a time if the mail has to wait. Blocks.

    `at_once`: an operator sends the mail now, even in the person's quiet hours.

    No mail is sent if another mail went out after `since`, no question waits any more, or the
    person has turned mails off. `mailed_at` is stored before sending: a crash in between loses this
    mail, and the next mail lists every question that still waits.

    Raises:
        Exception: the mail server refused the mail, or took longer than `TIMEOUT`; the caller
            retries.
    """
    person = users().filter(pk=user).first()
    if person is None:
        return Outcome.UNWANTED
    preference = preference_of(user)
    if mail_time(preference, since) is None:
        return Outcome.UNWANTED
    address = getattr(person, person.get_email_field_name(), "")
    if not address:
        return Outcome.NO_ADDRESS
    if preference.mailed_at is not None and preference.mailed_at >= since:
        return Outcome.IN_ANOTHER
    ids = inbox_query.first_prompts(inbox_query.waiting_prompts(user), MOST_SHOWN + 1)
    prompts = Interaction.objects.select_related("conversation__owner", "run").in_bulk(ids)
    waiting_prompts = [prompts[id_] for id_ in ids if id_ in prompts]
    if not waiting_prompts:
        return Outcome.SETTLED
    previous_mail_at, now = preference.mailed_at, timezone.now()
    local = now.astimezone(zone_of(preference))
    is_usual = preference.mode == MailPreference.Mode.NOW and not at_once
    if is_usual and (end := _end_of_quiet(preference, local)):
        return end  # wait again: a delayed mail has reached the quiet hours
    preferences = MailPreference.objects.filter(pk=user)
    if not preferences.filter(Q(mailed_at=None) | Q(mailed_at__lt=since)).update(mailed_at=now):
        return Outcome.IN_ANOTHER
    try:
        with timezone.override(zone_of(preference)):
            message = _message(person, address, waiting_prompts)
        call_within(TIMEOUT, message.send, "mail")
    except Exception:  # of any kind, as sites may have mail backends of their own
        preferences.filter(mailed_at=now).update(mailed_at=previous_mail_at)
        raise
    return Outcome.SENT


def _message(
    person: AbstractBaseUser, address: str, waiting_prompts: list[Interaction]
) -> EmailMessage:
    section = NotificationSettings.load()
    unsubscribe = section.public_link("chat:unsubscribe", signer.sign(str(person.pk)))
    context = {
        "questions": [
            {
                "line": mark(question.short_title),
                "by": question.asker,
                "due": question.deadline,
                "url": section.public_link("chat:prompt", question.interaction.pk),
            }
            for question in QuestionView.of_all(waiting_prompts[:MOST_SHOWN], person.pk)
        ],
        "more": len(waiting_prompts) > MOST_SHOWN,
        "inbox": section.public_link("chat:inbox"),
        "settings": section.public_link("chat:settings"),
        "unsubscribe": unsubscribe,
    }
    with translation.override(settings.LANGUAGE_CODE):
        subject = render_to_string("hitl_notifications/subject.txt", context)
        body = render_to_string("hitl_notifications/body.txt", context)
    host = urlsplit(section.known_url).hostname
    headers = {
        "Message-ID": make_msgid(domain=host),
        "Auto-Submitted": "auto-generated",
        # RFC 8058: mail programs show an unsubscribe button.
        "List-Unsubscribe": f"<{unsubscribe}>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
    }
    return EmailMessage(" ".join(subject.split()), body, to=[address], headers=headers)


def read_token(token: str) -> UserId | None:
    """Return the user of an unsubscribe link; None if the signature is invalid."""
    try:
        user: UserId = read_user_id(signer.unsign(token))
    except (BadSignature, ValueError):
        return None
    return user

"""When a person gets e-mail about what waits for them. Pure."""

from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from chat_app.models import MailPreference

# Who is at the page answers at once; the others can wait so long.
AFTER = timedelta(minutes=1)


def mail_time(preference: MailPreference, now: datetime) -> datetime | None:
    """When to write about what waits since now; None where the person wants no mail."""
    if preference.mode == MailPreference.Mode.OFF:
        return None
    local = (now + AFTER).astimezone(ZoneInfo(preference.zone))
    if preference.mode == MailPreference.Mode.DAILY:
        return _next(local, time(preference.hour))
    start, end = preference.quiet_from, preference.quiet_until
    if start is None or end is None or not _is_quiet(local.time(), start, end):
        return local
    return _next(local, end)


def _is_quiet(at: time, start: time, end: time) -> bool:
    """Quiet hours may go over midnight."""
    return start <= at < end if start <= end else at >= start or at < end


def _next(local: datetime, at: time) -> datetime:
    found = local.replace(hour=at.hour, minute=at.minute, second=0, microsecond=0)
    return found if found >= local else found + timedelta(days=1)

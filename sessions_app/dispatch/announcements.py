"""The announcements of processes beside the one that hosts, such as a cron job, as rows.

They leave them in the database, where the process that hosts looks. That process itself leaves
none, so its messages and answers do not pay for it.
"""

from functools import partial

from sessions_app.models import Announcement
from sessions_app.notify.announce import announce
from sessions_app.notify.host_messages import read_wake, wake_message
from sessions_app.storage import reads, sql
from sessions_app.storage.periodic import repeat
from sessions_app.storage.records import InteractionSettled
from sessions_app.storage.transaction import Transaction
from sessions_app.storage.writer import writer

EVERY = 0.5
AT_ONCE = 200


def leave(key: str, settlement: InteractionSettled | None) -> None:
    """Leave an announcement of work for the key, within the transaction of the work."""
    sql.insert(Announcement, message=wake_message(key, settlement))


def drop() -> None:
    """Delete all announcements: a process that begins to host looks for all work anyway."""
    Announcement.objects.all().delete()


async def hear() -> None:
    """Announce here what others have left; until cancelled."""
    await repeat(hear_once, every=EVERY, name="announcements")


async def hear_once() -> None:
    """Announce in this process what others have left by now."""
    rows = await reads.read(_read_some)
    if rows:
        await writer.write(partial(_announce, rows=rows))
    if len(rows) == AT_ONCE:
        await hear_once()


def _read_some() -> list[Announcement]:
    return list(Announcement.objects.order_by("id")[:AT_ONCE])


def _announce(tx: Transaction, rows: list[Announcement]) -> None:
    Announcement.objects.filter(pk__in=[row.pk for row in rows]).delete()
    for row in rows:
        announce(tx, *read_wake(row.message))

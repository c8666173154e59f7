"""The deletion of old conversations, and of other data that nobody needs any more.

Each of many small transactions checks again whether its rows may be deleted.
"""

from datetime import timedelta
from functools import partial
from uuid import UUID

from django.db import DEFAULT_DB_ALIAS, router
from django.db.models import Exists, OuterRef, Q, QuerySet

from sessions_app.errors import StorageUnavailable
from sessions_app.logs import Log
from sessions_app.models import Conversation, HostLease, PendingSignal, Run
from sessions_app.models.host_lease import HostKey
from sessions_app.models.people import session_model
from sessions_app.settings import RuntimeSettings
from sessions_app.storage import attachments, clock, reads, sql
from sessions_app.storage.transaction import Transaction
from sessions_app.storage.writer import writer

log = Log(__name__)

ROWS_AT_ONCE = 100  # maximum number of rows that one transaction deletes
# Times for which released leases, and outcomes of mails and webhooks, are kept for operators.
LEASES_KEPT = timedelta(days=1)
NOTICES_KEPT = timedelta(days=30)
# Time in which the owner of a conversation may undo its deletion.
DELETED_KEPT = timedelta(days=1)

# Plain SQL, because Django's deletion signal would notify each person's sockets of an ended session
# without need: the sockets of an expired session are already closed.
SESSIONS = """
    DELETE FROM {table} WHERE session_key IN (
        SELECT session_key FROM {table} WHERE expire_date < %s LIMIT %s
    ) RETURNING session_key
"""
# Plain SQL, because the model `AuditEntry` refuses to delete its rows.
AUDIT = """
    DELETE FROM sessions_app_auditentry WHERE id IN (
        SELECT id FROM sessions_app_auditentry WHERE at < %s LIMIT %s
    ) RETURNING id
"""


async def clean() -> int:
    """Delete all expired data; return the number of conversations, leases and other rows."""
    now = clock.now()
    over = Q(deleted_at__lt=now - DELETED_KEPT)
    if days := RuntimeSettings.load().KEEP_DAYS:
        over |= Q(updated_at__lt=now - timedelta(days=days))
    count = await _delete_conversations(over)
    count += await attachments.delete_unwanted()
    for delete in (_delete_leases, _delete_sessions, _delete_audit, _delete_notices):
        while deleted := await writer.write(delete):
            count += deleted
    log.info("retention.cleaned", rows=count)
    return count


async def _delete_conversations(over: Q) -> int:
    """Delete each conversation with its data, in a separate transaction.

    A conversation that cannot be deleted, such as one that the project protects, is skipped.
    """
    count, left = 0, set[UUID]()
    while ids := await reads.read(_old_conversations, over & ~Q(pk__in=left)):
        for conversation in ids:
            try:
                count += await writer.write(partial(_delete, conversation=conversation, over=over))
            except StorageUnavailable:
                raise
            except Exception:
                log.exception("retention.not_deleted", conversation=str(conversation))
                left.add(conversation)
    return count


def _old(over: Q) -> QuerySet[Conversation]:
    """Return the conversations that match `over` and have no run that may still continue."""
    alive = [*Run.UNFINISHED, Run.Status.SUSPENDED]
    goes_on = Run.objects.filter(conversation=OuterRef("pk"), status__in=alive)
    return Conversation.objects.filter(over, ~Exists(goes_on))


def _old_conversations(over: Q) -> list[UUID]:
    # The query needs no order: any batch of matching rows is suitable.
    return list(_old(over).values_list("pk", flat=True)[:ROWS_AT_ONCE])


def _delete(tx: Transaction, conversation: UUID, over: Q) -> int:
    """Lock a conversation, check again whether it may be deleted, and delete it.

    A concurrent message either comes before the check, or finds no conversation.
    """
    row = _old(over).filter(pk=conversation).select_for_update(of=("self",)).first()
    if row is None:
        return 0
    row.delete()
    return 1


def _delete_leases(tx: Transaction) -> int:
    # Delete only leases of conversations, whose keys are never used again. The key of a user may be
    # used again: without a lease row its generation would begin at 1 again, and writes of an old,
    # frozen host with the same generation would be accepted.
    leases = HostLease.objects.filter(
        ~Exists(Run.objects.filter(key=OuterRef("key"))),
        key__startswith=HostKey.CONVERSATION,
        released_at__lt=tx.now - LEASES_KEPT,
    )
    keys = list(leases.values_list("pk", flat=True)[:ROWS_AT_ONCE])
    return HostLease.objects.filter(pk__in=keys).delete()[0]


def _delete_sessions(tx: Transaction) -> int:
    rows = session_model()
    if rows is None or router.db_for_write(rows) != DEFAULT_DB_ALIAS:
        return 0
    return len(sql.fetch(SESSIONS.format(table=rows._meta.db_table), (tx.now, ROWS_AT_ONCE)))  # noqa: SLF001 - documented


def _delete_audit(tx: Transaction) -> int:
    days = RuntimeSettings.load().KEEP_AUDIT_DAYS
    return len(sql.fetch(AUDIT, (tx.now - timedelta(days=days), ROWS_AT_ONCE))) if days else 0


def _delete_notices(tx: Transaction) -> int:
    """Delete mails and webhooks whose outcome is older than `NOTICES_KEPT`."""
    old = PendingSignal.objects.filter(settled_at__lt=tx.now - NOTICES_KEPT)
    keys = list(old.values_list("pk", flat=True)[:ROWS_AT_ONCE])
    return PendingSignal.objects.filter(pk__in=keys).delete()[0]

"""What one piece of writing work may use while its transaction is open."""

from collections.abc import Callable
from typing import Any

from django.utils import timezone

from sessions_app import errors
from sessions_app.event_log import sql
from sessions_app.event_log.records import EventRecord
from sessions_app.models import HostLease, Run


class Transaction:
    """Appends events and remembers what to do once it is committed.

    Several pieces of work may share one transaction (group commit), one after another.
    """

    def __init__(self) -> None:
        self.now = timezone.now()
        self.events: list[EventRecord] = []
        self.after_commit: list[Callable[[], None]] = []
        self._held: set[tuple[str, int]] = set()

    def append(self, run: Run, type_: str, payload: dict[str, Any]) -> int:
        """Append an event of the run to its conversation's log; returns its sequence."""
        conversation = run.conversation_id
        now = sql.time_value(self.now)
        row = sql.fetch_one(sql.TAKE_SEQUENCE, (now, sql.uuid_value(conversation)))
        if row is None:
            raise errors.ConversationGone(conversation)
        sequence: int = row[0]
        sql.execute(
            sql.INSERT_EVENT,
            (
                sql.uuid_value(conversation),
                sql.uuid_value(run.id),
                sequence,
                sequence,
                type_,
                sql.dump(payload),
                now,
            ),
        )
        self.events.append(
            EventRecord(
                conversation,
                run.id,
                run.message_id,
                run.schema_type,
                sequence,
                sequence,
                type_,
                payload,
                self.now,
            )
        )
        return sequence

    def check_fence(self, key: str, generation: int) -> None:
        """Refuse the write of a host that another has replaced.

        Looked up once a transaction: the lease is locked until the commit.

        Raises:
            Fenced: the key's generation is another one now.
        """
        if (key, generation) in self._held:
            return
        lease = HostLease.objects.select_for_update().filter(key=key).values_list("generation")
        row = lease.first()
        if row is None or row[0] != generation:
            raise errors.Fenced(key, generation, row[0] if row else 0)
        self._held.add((key, generation))

    def forget_fence(self, key: str) -> None:
        """The key's generation was raised in this transaction."""
        self._held = {held for held in self._held if held[0] != key}

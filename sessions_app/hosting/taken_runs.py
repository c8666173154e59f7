"""The runs that a host has taken up, as its transactions see them: before their tasks are there."""

from collections.abc import Mapping
from functools import partial
from uuid import UUID

from sessions_app.hosting.lease import Lease, let_go
from sessions_app.hosting.run_selection import (
    ConversationRecord,
    DrivenRuns,
    Selection,
    select_runs,
)
from sessions_app.storage.transaction import Transaction


class TakenRuns:
    """Used in transactions; a host's look by itself and that of a message may come in either order.

    `blameless` are those that the host drove until the database failed.
    """

    def __init__(self) -> None:
        self.blameless: set[UUID] = set()
        # It has let go of its lease: set in the transaction that does.
        self.released = False
        # The last look left a run where it was that has its turn later.
        self.left_some = False
        self._ids: set[UUID] = set()
        self._conversations: Mapping[UUID, ConversationRecord] = {}

    def look(self, tx: Transaction, lease: Lease) -> Selection:
        """Take up the runs whose turn it is."""
        ids = frozenset(self._ids | tx.taken_up)
        driven = DrivenRuns(ids, frozenset(self.blameless), self._conversations)
        found = select_runs(tx, lease, driven)
        started = {one.run.id for one in found.started}
        tx.taken_up |= started
        self.left_some = found.left_some
        tx.after_commit.append(partial(self._ids.update, started))
        return found

    def release(self, tx: Transaction, lease: Lease, ids: set[UUID], *, stays: bool) -> bool:
        """Let go of the lease, with these runs and all that is taken up. Not if the host may stay,
        and there is something: the transaction of a message was faster.
        """
        taken = self._ids | tx.taken_up
        self.released = not (stays and taken)
        if self.released:
            let_go(tx, lease, ids | taken)
        return self.released

    def found(self, found: Selection) -> None:
        """What a look came to is committed."""
        self.blameless.clear()
        self._conversations = found.conversations

    def left(self, run: UUID) -> None:
        """It is out of memory."""
        self._ids.discard(run)

    def absolve(self, ids: set[UUID]) -> None:
        """What becomes of these, and of what is taken up, is no fault of theirs."""
        self.blameless |= ids | self._ids

    def __contains__(self, run: UUID) -> bool:
        return run in self._ids

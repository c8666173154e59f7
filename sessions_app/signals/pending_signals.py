"""What is to be sent: written in the transaction of what it is about."""

from collections.abc import Callable
from uuid import UUID

from sessions_app.models import PendingSignal
from sessions_app.signals import SIGNALS
from sessions_app.storage import sql
from sessions_app.storage.transaction import Transaction

# What sends in this process, where it does: told after the commit, in the thread that wrote.
told: list[Callable[[], None]] = []


def add(tx: Transaction, name: str, run: UUID, interaction: UUID | None = None) -> None:
    """The signal is to be sent, if anybody wants it."""
    if not SIGNALS[name].has_listeners():
        return
    sql.insert(
        PendingSignal,
        name=name,
        run_id=run,
        interaction_id=interaction,
        attempts=0,
        due_at=tx.now,
    )
    tx.after_commit += told

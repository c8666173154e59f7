"""The storage of signals to be sent, in the transaction of the change that causes them."""

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sessions_app.json_types import JsonObject
from sessions_app.models import PendingSignal
from sessions_app.signals import SIGNALS
from sessions_app.storage import sql
from sessions_app.storage.transaction import Transaction


class Notice(NamedTuple):
    """A signal to be sent about a run, or an interaction of a run."""

    name: str
    run: UUID
    interaction: UUID | None
    due_at: datetime
    about: JsonObject


# Callbacks that wake this process's delivery tasks; made in the writer thread after the commit.
listeners: list[Callable[[], None]] = []


def add(
    tx: Transaction, name: str, run: UUID, interaction: UUID | None = None, **about: object
) -> None:
    """Store a pending signal, to be sent after the commit, if the signal has receivers."""
    if not SIGNALS[name].has_listeners():
        return
    _insert(Notice(name, run, interaction, tx.now, about))
    tx.after_commit += listeners


def put_off(tx: Transaction, notices: Iterable[Notice]) -> None:
    """Store notices for delivery when due; drop a notice if its signal has no receivers.

    A notice is delivered at least once, with retries after errors.
    """
    for notice in notices:
        if SIGNALS[notice.name].has_listeners():
            _insert(notice)


def _insert(notice: Notice) -> None:
    sql.insert(
        PendingSignal,
        name=notice.name,
        run_id=notice.run,
        interaction_id=notice.interaction,
        about=notice.about,
        attempts=0,
        due_at=notice.due_at,
    )

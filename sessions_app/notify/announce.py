"""The announcement of work in the transaction of the work: a host looks after the commit."""

from typing import Protocol

from django.utils.module_loading import import_string

from sessions_app.settings import RuntimeSettings
from sessions_app.storage.records import InteractionSettled
from sessions_app.storage.transaction import Transaction

LOCAL = "sessions_app.hosting.dispatch.local.LocalDispatcher"
CLUSTER = "sessions_app.hosting.dispatch.dispatcher.ProcrastinateDispatcher"


class Announcer(Protocol):
    """A dispatcher as seen by writers of work: makes a host look at a key."""

    def announce(
        self, tx: Transaction, key: str, settlement: InteractionSettled | None = None
    ) -> None:
        """Announce work as the function `announce` does."""


_installed: list[Announcer] = []


def announce(tx: Transaction, key: str, settlement: InteractionSettled | None = None) -> None:
    """Announce work for the key: called inside the transaction of the work, as its last write.

    `settlement` is a copy of the news for a running host; the database is the truth. A process
    without a runtime (a command beside the server) announces too, as far as the database suffices
    for that.
    """
    if not _installed:
        install(import_string(CLUSTER if RuntimeSettings.load().cluster else LOCAL)())
    _installed[0].announce(tx, key, settlement)


def install(new: Announcer | None) -> None:
    """Set the announcer of this process; None removes the announcer."""
    _installed[:] = [] if new is None else [new]

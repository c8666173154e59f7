"""The announcement of work, in the transaction that writes the work, to the key's host."""

from typing import Protocol

from django.utils.module_loading import import_string

from sessions_app.settings import RuntimeSettings
from sessions_app.storage.records import InteractionSettled
from sessions_app.storage.transaction import Transaction

LOCAL = "sessions_app.hosting.dispatch.local.LocalDispatcher"
CLUSTER = "sessions_app.hosting.dispatch.dispatcher.ProcrastinateDispatcher"


class Announcer(Protocol):
    """The interface of a dispatcher for writers of work: makes a host search for a key's work."""

    def announce(
        self, tx: Transaction, key: str, settlement: InteractionSettled | None = None
    ) -> None:
        """Announce work for the key; see the function `announce`."""


_installed: list[Announcer] = []


def announce(tx: Transaction, key: str, settlement: InteractionSettled | None = None) -> None:
    """Announce work for the key; call in the transaction of the work, as its last write.

    `settlement` is a copy for a running host; only the database is authoritative. A process without
    a started runtime (a management command) announces, too, as far as the database alone suffices.
    """
    if not _installed:
        install(import_string(CLUSTER if RuntimeSettings.load().cluster else LOCAL)())
    _installed[0].announce(tx, key, settlement)


def install(new: Announcer | None) -> None:
    """Set the announcer of this process; None removes the announcer."""
    _installed[:] = [] if new is None else [new]

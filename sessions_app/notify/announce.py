"""Announcing work: in the transaction that writes it, so that a host looks after the commit."""

from typing import Protocol

from django.utils.module_loading import import_string

from sessions_app.settings import RuntimeSettings
from sessions_app.storage.records import InteractionSettled
from sessions_app.storage.transaction import Transaction

LOCAL = "sessions_app.hosting.dispatch.local.LocalDispatcher"
CLUSTER = "sessions_app.hosting.dispatch.dispatcher.ProcrastinateDispatcher"


class Announcer(Protocol):
    """An announcer sees to it that a host looks at a key: a dispatcher."""

    def announce(
        self, tx: Transaction, key: str, settlement: InteractionSettled | None = None
    ) -> None:
        """Announce work as the function `announce` does."""


_installed: list[Announcer] = []


def announce(tx: Transaction, key: str, settlement: InteractionSettled | None = None) -> None:
    """Announce work for the key: called inside the transaction of the work, as its last write.

    `settlement` is a copy of the news for a host that is up; the database is the truth. A process
    that runs no runtime (a command beside the server) announces too, as far as that needs nothing
    but the database.
    """
    if not _installed:
        install(import_string(CLUSTER if RuntimeSettings.load().cluster else LOCAL)())
    _installed[0].announce(tx, key, settlement)


def install(new: Announcer | None) -> None:
    """Set what announces in this process; None removes it."""
    _installed[:] = [] if new is None else [new]

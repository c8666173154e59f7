"""The contract of a dispatcher: what starts a host for a key somewhere, exactly one at a time."""

from dataclasses import dataclass
from typing import Any, Protocol

from django.conf import settings
from django.utils.module_loading import import_string

from sessions_app.event_log import InteractionSettled, Transaction
from sessions_app.workers import Seen


@dataclass(frozen=True, slots=True)
class Duty:
    """What a worker takes. No queues: all. `drain`: seconds that runs have to let go."""

    queues: tuple[str, ...] = ()
    concurrency: int = 1000
    drain: float = 30.0


class Dispatcher(Protocol):
    """The writes announce their work; it sees to it that a host looks once they are committed."""

    def announce(
        self, tx: Transaction, key: str, settled: InteractionSettled | None = None
    ) -> None:
        """There is work for the key: called inside the transaction of the work, as its last write.

        `settled` is a copy of the news for a host that is up; the database is the truth.
        """

    async def start(self) -> None:
        """Begin."""

    async def stop(self) -> None:
        """Hand over: no new hosts; running ones stop at their next await."""

    def seen(self) -> Seen:
        """What this process does, for operators."""

    def builders(self) -> dict[str, dict[str, Any]]:
        """The metrics of this process's live per-user builders, by key."""


_installed: list[Dispatcher] = []


def dispatcher() -> Dispatcher:
    """The dispatcher of this process.

    One that was not started (in a command beside the server) announces too, as far as that needs
    nothing but the database.
    """
    if not _installed:
        _installed.append(import_string(settings.DISPATCHER)())
    return _installed[0]


def install(new: Dispatcher | None) -> None:
    """Set the dispatcher of this process; None removes it."""
    _installed[:] = [] if new is None else [new]

"""The contract of a dispatcher: what starts a host for a key somewhere, exactly one at a time."""

from typing import Any, Protocol

from sessions_app.event_log import InteractionSettled


class Dispatcher(Protocol):
    """The writes call `wake` once they are committed; it sees to it that a host looks."""

    def wake(self, key: str, settled: InteractionSettled | None = None) -> None:
        """There is work for the key: start its host, or tell the running one. From any thread.

        `settled` is a copy of the news for a host that is up; the database is the truth.
        """

    async def start(self) -> None:
        """Begin, and take up every unfinished run."""

    async def stop(self) -> None:
        """Hand over: no new hosts; running ones stop at their next await."""

    def evict(self, key: str) -> bool:
        """Close the builder of a per-user key, from a thread. False if in use, or not here."""

    def builders(self) -> dict[str, dict[str, Any]]:
        """The metrics of this process's live per-user builders, by key."""


class _Nobody:
    """Before the runtime has started, and in commands beside it: the work waits in the database."""

    def wake(self, key: str, settled: InteractionSettled | None = None) -> None:
        """Nothing to wake here; a process that hosts finds the work when it starts."""

    async def start(self) -> None:
        """Nothing to start."""

    async def stop(self) -> None:
        """Nothing to stop."""

    def evict(self, key: str) -> bool:
        """No builder is here."""
        return False

    def builders(self) -> dict[str, dict[str, Any]]:
        """No builder is here."""
        return {}


_current: list[Dispatcher] = [_Nobody()]


def dispatcher() -> Dispatcher:
    """The dispatcher of this process."""
    return _current[0]


def install(new: Dispatcher | None) -> None:
    """Set the dispatcher of this process; None removes it."""
    _current[0] = new or _Nobody()

"""The dispatcher of many processes: workers take the keys as jobs from Procrastinate's queue."""

from functools import partial
from typing import Any

from sessions_app import notify
from sessions_app.dispatch import calls, jobs
from sessions_app.event_log import InteractionSettled, Transaction
from sessions_app.models import Worker
from sessions_app.workers import Seen


class ProcrastinateDispatcher:
    """Queues the keys, or calls the workers that host them. Hosts nothing itself."""

    async def start(self) -> None:
        """Nothing runs here: what is to be done is announced by whoever writes it."""

    async def stop(self) -> None:
        """Nothing to hand over."""

    def announce(
        self, tx: Transaction, key: str, settled: InteractionSettled | None = None
    ) -> None:
        """Queue the key in this transaction; where a worker hosts it, call that after the commit.

        The call may get lost: every worker looks into the database for itself.
        """
        worker = jobs.announce(key)
        if worker is not None:
            tx.after_commit.append(partial(self.call, worker, key, settled))

    def call(self, worker: str, key: str, settled: InteractionSettled | None) -> None:
        """Tell the worker. From any thread."""
        notify.tell(calls.group_of(worker), calls.wake(key, settled))

    def seen(self) -> Seen:
        """See `Dispatcher`."""
        return Seen(Worker.Kind.WEB)

    def builders(self) -> dict[str, dict[str, Any]]:
        """None is here."""
        return {}

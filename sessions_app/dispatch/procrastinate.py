"""The dispatcher of many processes: workers take the keys as jobs from Procrastinate's queue."""

from functools import partial

from sessions_app.dispatch import queue
from sessions_app.dispatch.dispatcher import ProcessReport
from sessions_app.json_types import JsonObject
from sessions_app.models import Process
from sessions_app.notify.host_messages import wake_message, worker_group
from sessions_app.notify.notifier import send_from_thread
from sessions_app.storage.records import InteractionSettled
from sessions_app.storage.transaction import Transaction


class ProcrastinateDispatcher:
    """The dispatcher of web processes, which queues keys, or wakes the hosts that have them. Hosts
    nothing itself.
    """

    async def start(self) -> None:
        """Start nothing: whoever writes work also announces it."""

    async def stop(self) -> None:
        """Stop nothing: there is nothing to hand over."""

    def announce(
        self, tx: Transaction, key: str, settlement: InteractionSettled | None = None
    ) -> None:
        """Queue the key in this transaction, or wake its host after the commit.

        The message may get lost: every worker looks into the database for itself.
        """
        worker = queue.announce(key)
        if worker is not None:
            message = wake_message(key, settlement)
            tx.after_commit.append(partial(send_from_thread, worker_group(worker), message))

    def report(self) -> ProcessReport:
        """Report that this is a web process."""
        return ProcessReport(Process.Kind.WEB)

    def builders(self) -> dict[str, JsonObject]:
        """Return no builders: a web process has none."""
        return {}

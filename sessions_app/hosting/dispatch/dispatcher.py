"""The contract of a dispatcher, which starts one host per key; and the web process's dispatcher."""

from dataclasses import dataclass, field
from datetime import datetime
from functools import cache, partial
from typing import Protocol

from django.utils import timezone

from sessions_app.hosting.dispatch import queue
from sessions_app.hosting.host_registry import HostRegistry
from sessions_app.hosting.lease import this_process
from sessions_app.models import Process
from sessions_app.notify.announce import Announcer
from sessions_app.notify.host_messages import wake_message, worker_group
from sessions_app.notify.notifier import send_from_thread
from sessions_app.storage import clock
from sessions_app.storage.records import InteractionSettled
from sessions_app.storage.transaction import Transaction


@cache
def started_at() -> datetime:
    """Return the time of the first call, at which this process began to serve.

    Not evaluated at import: a server may import the application, and fork its processes later.
    """
    return timezone.now()


@dataclass(frozen=True, slots=True)
class Duty:
    """The work of a worker process: its queues, and its maximum of concurrent hosts.

    Empty `queues` mean all queues. `drain`: seconds that runs may take to stop at a shutdown.
    """

    queues: tuple[str, ...] = ()
    concurrency: int = 1000
    drain: float = 30.0


@dataclass(frozen=True, slots=True)
class ProcessReport:
    """A process's report on its work, for operators. Empty `queues` mean all queues."""

    kind: Process.Kind
    job_worker: int | None = None
    queues: tuple[str, ...] = ()
    concurrency: int = 0
    hosts: int = 0
    draining: bool = False
    clock_ahead: float = field(default_factory=clock.ahead)
    name: str = field(default_factory=this_process)
    started_at: datetime = field(default_factory=started_at)


class Dispatcher(Announcer, Protocol):
    """An assigner of work: after the commit of new work for a key, makes a host find this work.

    `hosts` are the hosts of this process; None if the process hosts nothing.
    """

    hosts: HostRegistry | None = None

    async def start(self) -> None:
        """Begin to serve: start a host for each key with work, or acquire jobs."""

    async def stop(self) -> None:
        """Start no more hosts; the runs of existing hosts stop at their next `await`."""

    def report(self) -> ProcessReport:
        """Report the work of this process, for operators."""


class ProcrastinateDispatcher(Dispatcher):
    """The dispatcher of web processes: queues a job for a key, or wakes the key's host.

    A web process hosts nothing.
    """

    async def start(self) -> None:
        """Do nothing: each write of work announces this work, without a background task."""

    async def stop(self) -> None:
        """Do nothing: a web process hosts no runs that other processes must continue."""

    def announce(
        self, tx: Transaction, key: str, settlement: InteractionSettled | None = None
    ) -> None:
        """Queue a job for the key in this transaction, or wake the key's host after the commit.

        The wake-up message may get lost, so every worker also checks the database.
        """
        worker = queue.announce(key)
        if worker is not None:
            message = wake_message(key, settlement)
            tx.after_commit.append(partial(send_from_thread, worker_group(worker), message))

    def report(self) -> ProcessReport:
        """Report that this is a web process."""
        return ProcessReport(Process.Kind.WEB)

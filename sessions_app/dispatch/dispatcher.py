"""The contract of a dispatcher: what starts a host for a key somewhere, exactly one at a time."""

from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Protocol

from django.utils import timezone

from sessions_app.hosting.lease import this_process
from sessions_app.json_types import JsonObject
from sessions_app.models import Process
from sessions_app.notify.announce import Announcer


@cache
def started_at() -> datetime:
    """Return when this process began to serve.

    It is asked at the first report, not at an import (see `this_process`).
    """
    return timezone.now()


@dataclass(frozen=True, slots=True)
class Duty:
    """The work that a worker takes. No queues: all. `drain`: seconds that runs have to let go."""

    queues: tuple[str, ...] = ()
    concurrency: int = 1000
    drain: float = 30.0


@dataclass(frozen=True, slots=True)
class ProcessReport:
    """A process that is up: this one, unless named. No queues means all of them."""

    kind: Process.Kind
    job_worker: int | None = None
    queues: tuple[str, ...] = ()
    concurrency: int = 0
    hosts: int = 0
    draining: bool = False
    name: str = field(default_factory=this_process)
    started_at: datetime = field(default_factory=started_at)


class Dispatcher(Announcer, Protocol):
    """The writes announce their work; it sees to it that a host looks once they are committed."""

    async def start(self) -> None:
        """Begin to dispatch."""

    async def stop(self) -> None:
        """Hand over: no new hosts; running ones stop at their next await."""

    def report(self) -> ProcessReport:
        """Report what this process does, for operators."""

    def builders(self) -> dict[str, JsonObject]:
        """Return the metrics of this process's live per-user builders, by key."""

"""What the processes of a deployment say of themselves, for operators and `doctor`."""

import hashlib
import os
import socket
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from functools import cache

from django.conf import settings
from django.utils import timezone
from django.utils.crypto import salted_hmac

from sessions_app import queues
from sessions_app.event_log import Transaction
from sessions_app.models import Worker

# This process.
NAME = f"{socket.gethostname()}:{os.getpid()}"
STARTED_AT = timezone.now()
# A process reports about every 5 s.
GONE_AFTER = timedelta(seconds=20)
FORGOTTEN_AFTER = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Seen:
    """A process that is up: this one, unless named. No queues means all of them."""

    kind: Worker.Kind
    job_worker: int | None = None
    queues: tuple[str, ...] = ()
    concurrency: int = 0
    hosts: int = 0
    draining: bool = False
    name: str = NAME
    started_at: datetime = STARTED_AT


@dataclass(frozen=True, slots=True)
class Process:
    """What is known of a process. `silent`: seconds since it was heard of."""

    row: Worker
    silent: float
    alive: bool


def record(tx: Transaction, seen: Seen) -> None:
    """The process is up."""
    row = Worker(**asdict(seen), settings=shared_settings(), last_seen=tx.now)
    columns = [field.name for field in Worker._meta.fields if not field.primary_key]  # noqa: SLF001 - Django's documented _meta
    Worker.objects.bulk_create(
        [row], update_conflicts=True, unique_fields=["name"], update_fields=columns
    )


def forget(tx: Transaction, name: str) -> None:
    """The process ends in good order."""
    Worker.objects.filter(name=name).delete()


def forget_unseen(tx: Transaction) -> int:
    """Drop those that ended without a word, an hour after; returns how many there were."""
    return Worker.objects.filter(last_seen__lt=tx.now - FORGOTTEN_AFTER).delete()[0]


@cache
def shared_settings() -> dict[str, str]:
    """Digests of what must be the same in all processes; no secret can be read from them."""
    workflows = settings.WORKFLOWS_FILE.read_bytes()
    return {
        "SECRET_KEY": salted_hmac("sessions_app.workers", "the same?").hexdigest()[:16],
        "workflows": hashlib.sha256(workflows).hexdigest()[:16],
    }


def processes() -> dict[str, Process]:
    """All processes that are known, by name."""
    silences = queues.silences()
    return {row.name: _process(row, silences) for row in Worker.objects.order_by("name")}


def hosting() -> list[str]:
    """The names of those that host runs and are alive."""
    return [
        name
        for name, process in processes().items()
        if process.alive and process.row.kind != Worker.Kind.WEB
    ]


def _process(row: Worker, silences: dict[int, float]) -> Process:
    """A worker is heard by its heartbeats, which decide about take-over; others by their row."""
    silent = (timezone.now() - row.last_seen).total_seconds()
    limit = GONE_AFTER.total_seconds()
    if row.job_worker is not None:
        # Its heartbeats are removed when it ends, and when others have taken its jobs over.
        silent = silences.get(row.job_worker, max(silent, limit))
        limit = queues.STALLED_AFTER
    return Process(row, max(silent, 0), silent < limit)

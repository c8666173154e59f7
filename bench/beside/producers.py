"""16 producers append to the log, each to its own conversation, and each waits for every commit.

Without a server: what the writer can do. The program of it is run with a server's environment.
"""

import asyncio
import json
import sys
import time
from pathlib import Path
from uuid import uuid4

import django

from bench.beside.clients import Figures, percentile
from tests.support.processes.child import environment
from tests.support.processes.command import run
from tests.support.server import Template

PRODUCERS = 16
SECONDS = 5.0


def measure(template: Template, directory: Path) -> Figures:
    """See the module."""
    directory.mkdir()
    store = template.store.copy(directory)
    try:
        env = environment(directory, **store.environment)
        done = run("-m", "bench.beside.producers", env=env)
    finally:
        store.drop()
    assert done.returncode == 0, done.stderr
    figures: Figures = json.loads(done.stdout)
    return figures


def main() -> None:
    """Append, print the figures."""
    django.setup()
    from django.contrib.auth import get_user_model  # noqa: PLC0415 - Django first
    from django.utils import timezone  # noqa: PLC0415 - ^

    from sessions_app.models import Conversation, Run  # noqa: PLC0415 - ^
    from sessions_app.storage.transaction import Transaction  # noqa: PLC0415 - ^
    from sessions_app.storage.writer import writer  # noqa: PLC0415 - ^

    now = timezone.now()
    times = {"created_at": now, "updated_at": now}
    owner = get_user_model().objects.get(username="ann")
    runs = []
    for number in range(PRODUCERS):
        name = f"producer{number}"
        conversation = Conversation.objects.create(
            owner=owner, conversation_id=name, workflow="none", **times
        )
        made = Run.objects.create(
            conversation=conversation, key=name, message_id=uuid4().hex, text="", created_at=now
        )
        runs.append(made)
    spent: list[float] = []
    until = time.perf_counter() + SECONDS

    async def produce(one: Run) -> None:
        def append(tx: Transaction) -> int:
            return tx.append(one, "token", {"text": "so many words, as one piece of output has"})

        while time.perf_counter() < until:
            began = time.perf_counter()
            await writer.write(append)
            spent.append(1000 * (time.perf_counter() - began))

    async def all_of_them() -> None:
        await asyncio.gather(*(produce(one) for one in runs))

    asyncio.run(all_of_them())
    writer.stop()
    figures = {
        "16 producers: durable appends a second": len(spent) / SECONDS,
        "16 producers: an append, p99 ms": percentile(spent, 99),
    }
    json.dump(figures, sys.stdout)


if __name__ == "__main__":
    main()

"""Run as a program with a server's environment: 16 producers append, each to its own conversation.

Prints a JSON object with the figures.
"""

import asyncio
import json
import sys
import time
from uuid import uuid4

import django

django.setup()

from django.contrib.auth import get_user_model  # noqa: E402 - models come after the set-up
from django.utils import timezone  # noqa: E402 - ^

from bench.beside.clients import percentile  # noqa: E402 - ^
from sessions_app.models import Conversation, Run  # noqa: E402 - ^
from sessions_app.storage.transaction import Transaction  # noqa: E402 - ^
from sessions_app.storage.writer import writer  # noqa: E402 - ^

PRODUCERS = 16
SECONDS = 5.0
PIECE = {"text": "so many words, as one piece of output has"}


def make_run(number: int) -> Run:
    """Create a run in a conversation of ann's."""
    name, now = f"producer{number}", timezone.now()
    conversation = Conversation.objects.create(
        owner=get_user_model().objects.get(username="ann"),
        conversation_id=name,
        workflow="none",
        created_at=now,
        updated_at=now,
    )
    return Run.objects.create(
        conversation=conversation, key=name, message_id=uuid4().hex, text="", created_at=now
    )


async def append(runs: list[Run]) -> list[float]:
    """Append to all of them until the time is up; the milliseconds of each."""
    durations: list[float] = []
    until = time.perf_counter() + SECONDS

    async def produce(run: Run) -> None:
        def work(tx: Transaction) -> int:
            return tx.append(run, "token", PIECE)

        while time.perf_counter() < until:
            began = time.perf_counter()
            await writer.write(work)
            durations.append(1000 * (time.perf_counter() - began))

    await asyncio.gather(*(produce(run) for run in runs))
    return durations


if __name__ == "__main__":
    durations = asyncio.run(append([make_run(number) for number in range(PRODUCERS)]))
    writer.stop()
    figures = {
        f"{PRODUCERS} producers: durable appends a second": len(durations) / SECONDS,
        f"{PRODUCERS} producers: an append, p99 ms": percentile(durations, 99),
    }
    json.dump(figures, sys.stdout)

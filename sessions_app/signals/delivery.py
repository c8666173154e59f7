"""The delivery of pending signals, in the processes that host runs."""

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from datetime import timedelta
from functools import partial
from itertools import groupby

from django.core.exceptions import ObjectDoesNotExist
from django.db import close_old_connections
from django.db.models import F
from django.dispatch import Signal
from django.utils import timezone

from sessions_app.json_types import JsonObject
from sessions_app.models import Interaction, PendingSignal
from sessions_app.signals import SIGNALS, interaction_due_soon, pending_signals
from sessions_app.storage import reads
from sessions_app.storage.periodic import repeat
from sessions_app.storage.transaction import Transaction
from sessions_app.storage.writer import writer

# Where others write what is to be sent, it is found by looking.
EVERY = 1.0
AT_ONCE = 50
# Whoever has taken them has so long; then others send them.
PATIENCE = timedelta(seconds=30)
# After a receiver has raised, twice as long each time.
LONGEST = timedelta(hours=1)


class Delivery:
    """A task that sends pending signals until it is cancelled. `alone`: no other process does, so
    what was taken before it began was taken by one that is dead, and is due.
    """

    def __init__(self, *, alone: bool) -> None:
        self._alone = alone
        self._woken = asyncio.Event()

    async def main(self) -> None:
        """Send signals that are due, and those that become due."""
        loop = asyncio.get_running_loop()

        def wake() -> None:
            with suppress(RuntimeError):  # the loop is closed: the next process sends it
                loop.call_soon_threadsafe(self._woken.set)

        pending_signals.listeners.append(wake)
        try:
            await repeat(self._round, every=0, name="signals")
        finally:
            pending_signals.listeners.remove(wake)

    async def _round(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(EVERY):
                await self._woken.wait()
        self._woken.clear()
        if not any(signal.has_listeners() for signal in SIGNALS.values()):
            return
        if self._alone:
            await writer.write(_give_back)
            self._alone = False
        while await send_due():
            pass


async def send_due() -> bool:
    """Send some of what is due; False if nothing is. Of what is taken here, that of one run is sent
    in the order of what happened.
    """
    if not await reads.read(_due):
        return False
    due_signals = await writer.write(_take)
    in_order = sorted(due_signals, key=lambda signal: (signal.run_id, signal.pk))
    by_run = groupby(in_order, lambda signal: signal.run_id)
    ids_by_run = await asyncio.gather(
        *(asyncio.to_thread(_send_all, list(signals)) for _, signals in by_run)
    )
    sent_ids = [id_ for ids in ids_by_run for id_ in ids]
    unsent_signals = [signal for signal in due_signals if signal.pk not in sent_ids]
    await writer.write(partial(_settle, sent_ids=sent_ids, unsent_signals=unsent_signals))
    return True


def _due() -> bool:
    return PendingSignal.objects.filter(due_at__lte=timezone.now()).exists()


def _take(tx: Transaction) -> list[PendingSignal]:
    due = PendingSignal.objects.filter(due_at__lte=tx.now).order_by("pk")
    signals = list(due.select_for_update(skip_locked=True)[:AT_ONCE])
    rows = PendingSignal.objects.filter(pk__in=[signal.pk for signal in signals])
    rows.update(due_at=tx.now + PATIENCE, attempts=F("attempts") + 1)
    return signals


def _send_all(signals: Iterable[PendingSignal]) -> list[int]:
    """Send them one after another; those that all receivers have taken. In a thread."""
    close_old_connections()
    try:
        return [signal.pk for signal in signals if _send(signal)]
    finally:
        close_old_connections()


def _send(pending_signal: PendingSignal) -> bool:
    signal: Signal = SIGNALS[pending_signal.name]
    row: JsonObject
    try:
        interaction = pending_signal.interaction
        row = {"run": pending_signal.run} if interaction is None else {"interaction": interaction}
    except ObjectDoesNotExist:  # deleted a moment ago
        return True
    if signal is interaction_due_soon and not _waits(interaction):
        return True
    [sender] = map(type, row.values())
    if pending_signal.about:
        row["about"] = {**pending_signal.about, "attempts": pending_signal.attempts}
    results = signal.send_robust(sender, **row)  # Django logs what a receiver raises
    return not any(isinstance(result, Exception) for _, result in results)


def _waits(interaction: Interaction | None) -> bool:
    return interaction is not None and interaction.status == Interaction.Status.PENDING


def _settle(tx: Transaction, sent_ids: list[int], unsent_signals: list[PendingSignal]) -> None:
    PendingSignal.objects.filter(pk__in=sent_ids).delete()
    for signal in unsent_signals:
        pause = min(timedelta(seconds=2 ** min(signal.attempts, 20)), LONGEST)
        PendingSignal.objects.filter(pk=signal.pk).update(due_at=tx.now + pause)


def _give_back(tx: Transaction) -> None:
    PendingSignal.objects.filter(attempts__gt=0).update(due_at=tx.now)

"""The delivery of pending signals, in the processes that host runs."""

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from itertools import groupby

from django.core.exceptions import ObjectDoesNotExist
from django.db import close_old_connections
from django.db.models import F
from django.dispatch import Signal
from django.utils import timezone
from django.utils.text import Truncator

from sessions_app.json_types import JsonObject
from sessions_app.logs import Log
from sessions_app.models import Interaction, PendingSignal
from sessions_app.signals import SIGNALS, interaction_due_soon, pending_signals
from sessions_app.storage import reads
from sessions_app.storage.periodic import repeat
from sessions_app.storage.transaction import Transaction
from sessions_app.storage.writer import writer

log = Log(__name__)

# Where others write what is to be sent, it is found by looking.
EVERY = 1.0
AT_ONCE = 50
# Whoever has taken them has so long; then others send them.
PATIENCE = timedelta(seconds=30)
# After a receiver has raised, twice as long each time.
LONGEST = timedelta(hours=1)
ERROR_KEPT = 500  # characters


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
    await asyncio.gather(*(asyncio.to_thread(_send_all, list(signals)) for _, signals in by_run))
    await writer.write(partial(_settle, signals=due_signals))
    return True


def _due() -> bool:
    return PendingSignal.objects.filter(due_at__lte=timezone.now()).exists()


def _take(tx: Transaction) -> list[PendingSignal]:
    due = PendingSignal.objects.filter(due_at__lte=tx.now).order_by("pk")
    signals = list(due.select_for_update(skip_locked=True)[:AT_ONCE])
    rows = PendingSignal.objects.filter(pk__in=[signal.pk for signal in signals])
    rows.update(due_at=tx.now + PATIENCE, attempts=F("attempts") + 1)
    return signals


def _send_all(signals: Iterable[PendingSignal]) -> None:
    """Send them one after another, and note on each what came of it. In a thread."""
    close_old_connections()
    try:
        for signal in signals:
            try:
                signal.outcome, signal.error, signal.due_at = _send(signal)
            except Exception as error:  # such as one that another version has stored
                log.exception("signal.not_sent", signal=signal.name)
                signal.outcome, signal.error, signal.due_at = "", _text_of(error), None
    finally:
        close_old_connections()


def _send(pending_signal: PendingSignal) -> tuple[str, str, datetime | None]:
    """Return the outcome or none, the last error of a receiver, and until when one put it off."""
    signal: Signal = SIGNALS[pending_signal.name]
    row: JsonObject
    try:
        interaction = pending_signal.interaction
        row = {"run": pending_signal.run} if interaction is None else {"interaction": interaction}
    except ObjectDoesNotExist:  # deleted a moment ago
        return PendingSignal.Outcome.SETTLED, "", None
    if signal is interaction_due_soon and not _waits(interaction):
        return PendingSignal.Outcome.SETTLED, "", None
    [sender] = map(type, row.values())
    if pending_signal.about:
        row["about"] = {**pending_signal.about, "attempts": pending_signal.attempts}
    results = signal.send_robust(sender, **row)  # Django logs what a receiver raises
    returned = [result for _, result in results]
    for result in returned:
        if isinstance(result, Exception):
            return "", _text_of(result), None
        if isinstance(result, datetime):
            return "", "", result
    outcomes = [result for result in returned if result in PendingSignal.Outcome.values]
    return (*outcomes, PendingSignal.Outcome.SENT)[0], pending_signal.error, None


def _text_of(error: Exception) -> str:
    return Truncator(str(error) or type(error).__name__).chars(ERROR_KEPT)


def _waits(interaction: Interaction | None) -> bool:
    return interaction is not None and interaction.status == Interaction.Status.PENDING


def _settle(tx: Transaction, signals: list[PendingSignal]) -> None:
    """Delete the signals that were sent, keep the notices of them, and put the others off."""
    notices = [row for row in signals if row.outcome and row.name == PendingSignal.NOTICE]
    sent_ids = [row.pk for row in signals if row.outcome and row.name != PendingSignal.NOTICE]
    PendingSignal.objects.filter(pk__in=sent_ids).delete()
    for notice in notices:
        notice.settled_at = tx.now
    PendingSignal.objects.bulk_update(notices, ["due_at", "settled_at", "outcome"])
    for signal in (row for row in signals if not row.outcome):
        pause = min(timedelta(seconds=2 ** min(signal.attempts, 20)), LONGEST)
        # Unless an operator gave it up meanwhile.
        rows = PendingSignal.objects.filter(pk=signal.pk, due_at__isnull=False)
        if signal.due_at is None:
            rows.update(due_at=tx.now + pause, error=signal.error)
        else:  # as if it had not been tried
            rows.update(due_at=signal.due_at, error="", attempts=0)


def _give_back(tx: Transaction) -> None:
    taken = PendingSignal.objects.filter(attempts__gt=0, due_at__isnull=False)
    taken.update(due_at=tx.now)

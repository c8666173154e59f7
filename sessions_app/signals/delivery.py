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
from django.utils.text import Truncator

from sessions_app.json_types import JsonObject
from sessions_app.logs import Log
from sessions_app.models import Interaction, PendingSignal
from sessions_app.signals import SIGNALS, interaction_due_soon, pending_signals
from sessions_app.storage import clock, reads
from sessions_app.storage.lineage import running
from sessions_app.storage.periodic import repeat
from sessions_app.storage.transaction import Transaction
from sessions_app.storage.writer import writer

log = Log(__name__)

# Seconds between polls for signals stored by other processes.
POLL_SECONDS = 1.0
SIGNALS_AT_ONCE = 50
# Time in which a process must send the signals that it has acquired; then others may send them.
SENDING_TIME = timedelta(seconds=30)
# Longest pause between retries; the pause doubles with each error of a receiver.
MAX_PAUSE = timedelta(hours=1)
ERROR_KEPT = 500  # maximum characters of a stored error


class Delivery:
    """A task that sends pending signals until it is cancelled.

    `is_single_process`: no other process sends signals. Then all signals acquired before the
    start belong to a
    dead process, and are due immediately.
    """

    def __init__(self, *, is_single_process: bool) -> None:
        self._is_single_process = is_single_process
        self._woken = asyncio.Event()

    async def main(self) -> None:
        """Send due signals until cancelled."""
        loop = asyncio.get_running_loop()

        def wake() -> None:
            with suppress(RuntimeError):  # the event loop is closed: another process will send
                loop.call_soon_threadsafe(self._woken.set)

        pending_signals.listeners.append(wake)
        try:
            await repeat(self._round, every=0, name="signals")
        finally:
            pending_signals.listeners.remove(wake)

    async def _round(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(POLL_SECONDS):
                await self._woken.wait()
        self._woken.clear()
        if not any(signal.has_listeners() for signal in SIGNALS.values()):
            return
        if self._is_single_process:
            await writer.write(_make_due_again)
            self._is_single_process = False
        while await send_due():
            pass


async def send_due() -> bool:
    """Send a batch of due signals, in order for each run; return False if no signal is due."""
    if not await reads.read(_due):
        return False
    due_signals = await writer.write(_acquire_due)
    in_order = sorted(due_signals, key=lambda signal: (signal.run_id, signal.pk))
    by_run = groupby(in_order, lambda signal: signal.run_id)
    await asyncio.gather(*(asyncio.to_thread(_send_all, list(signals)) for _, signals in by_run))
    await writer.write(partial(_settle, signals=due_signals))
    return True


def _due() -> bool:
    return PendingSignal.objects.filter(due_at__lte=clock.now()).exists()


def _acquire_due(tx: Transaction) -> list[PendingSignal]:
    due = PendingSignal.objects.filter(due_at__lte=tx.now).order_by("pk")
    signals = list(due.select_for_update(skip_locked=True)[:SIGNALS_AT_ONCE])
    rows = PendingSignal.objects.filter(pk__in=[signal.pk for signal in signals])
    rows.update(due_at=tx.now + SENDING_TIME, attempts=F("attempts") + 1)
    return signals


def _send_all(signals: Iterable[PendingSignal]) -> None:
    """Send signals one after another, and set the outcome of each. Runs in a thread."""
    close_old_connections()
    try:
        for signal in signals:
            running.set(str(signal.run_id))  # in the context that `to_thread` has copied
            try:
                signal.outcome, signal.error, signal.due_at = _send(signal)
            except Exception as error:  # e.g. the name of a signal that this version lacks
                log.exception("signal.not_sent", signal=signal.name)
                signal.outcome, signal.error, signal.due_at = "", _text_of(error), None
    finally:
        close_old_connections()


def _send(pending_signal: PendingSignal) -> tuple[str, str, datetime | None]:
    """Send a signal; return its outcome, an error, and the time until which a receiver defers it.

    The outcome is empty if the signal has to be sent again.
    """
    signal: Signal = SIGNALS[pending_signal.name]
    row: JsonObject
    try:
        interaction = pending_signal.interaction
        row = {"run": pending_signal.run} if interaction is None else {"interaction": interaction}
    except ObjectDoesNotExist:  # drop the signal: the run or interaction is deleted
        return PendingSignal.Outcome.SETTLED, "", None
    if signal is interaction_due_soon and not _waits(interaction):
        return PendingSignal.Outcome.SETTLED, "", None
    [sender] = map(type, row.values())
    if pending_signal.about:
        row["about"] = {**pending_signal.about, "attempts": pending_signal.attempts}
    results = signal.send_robust(sender, **row)  # Django logs errors of receivers
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
    """Delete sent signals, keep sent notices, and reschedule the rest."""
    notices = [row for row in signals if row.outcome and row.name == PendingSignal.NOTICE]
    sent_ids = [row.pk for row in signals if row.outcome and row.name != PendingSignal.NOTICE]
    PendingSignal.objects.filter(pk__in=sent_ids).delete()
    for notice in notices:
        notice.settled_at = tx.now
    PendingSignal.objects.bulk_update(notices, ["due_at", "settled_at", "outcome"])
    for signal in (row for row in signals if not row.outcome):
        pause = min(timedelta(seconds=2 ** min(signal.attempts, 20)), MAX_PAUSE)
        # Do not reschedule a signal that an operator has given up since it was acquired.
        rows = PendingSignal.objects.filter(pk=signal.pk, due_at__isnull=False)
        if signal.due_at is None:
            rows.update(due_at=tx.now + pause, error=signal.error)
        else:  # defer the signal, as a receiver asked
            rows.update(due_at=signal.due_at, error="", attempts=0)


def _make_due_again(tx: Transaction) -> None:
    taken = PendingSignal.objects.filter(attempts__gt=0, due_at__isnull=False)
    taken.update(due_at=tx.now)

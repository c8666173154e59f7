"""The delivery of pending signals, in the processes that host runs."""

import asyncio
from collections.abc import Hashable
from contextlib import suppress
from copy import copy
from datetime import datetime, timedelta
from functools import partial, reduce
from time import monotonic

from django.core.exceptions import ObjectDoesNotExist
from django.db.models import F, Q
from django.dispatch import Signal
from django.utils.text import Truncator

from sessions_app.json_types import JsonObject
from sessions_app.logs import Log
from sessions_app.models import Interaction, PendingSignal
from sessions_app.signals import SIGNALS, interaction_due_soon, pending_signals
from sessions_app.signals.daemon_calls import (
    MAX_THREADS,
    give_up_calls,
    start_daemon,
    stopping,
    threads_of,
)
from sessions_app.signals.notice_kinds import kinds
from sessions_app.storage import clock, reads
from sessions_app.storage.lineage import running
from sessions_app.storage.periodic import repeat
from sessions_app.storage.transaction import Transaction
from sessions_app.storage.writer import writer

log = Log(__name__)

# Seconds between polls for signals stored by other processes.
POLL_SECONDS = 1.0
# Signals that a lane sends at once.
SIGNALS_AT_ONCE = 16
# Time in which a process must send the signals that it has acquired; then others may send them.
SENDING_TIME = timedelta(seconds=30)
# Seconds after which receivers that have not returned are abandoned, and seconds after which a
# batch of signals starts no further one. The difference is more than a mail or a webhook takes.
RECEIVERS_TIME = 25.0
BATCH_TIME = 10.0
# Seconds that receivers may take to return when the process stops.
STOP_TIME = 2.0
TOO_LATE = f"a receiver did not return within {RECEIVERS_TIME:g} s"
# Longest pause between retries; the pause doubles with each error of a receiver.
MAX_PAUSE = timedelta(hours=1)
ERROR_KEPT = 500  # maximum characters of a stored error


class SignalLane:
    """A part of the pending signals, which has tasks and threads of its own.

    So receivers that hang delay only their own kind. The signals of the runtime are a lane, and so
    is each kind of notices. Signals with the same key (the run, or the person of a personal notice)
    are sent in order, one at a time.
    """

    def __init__(self, name: str, rows: Q, *, about_key: str = "") -> None:
        self.name, self.rows, self._about_key = name, rows, about_key
        self.tasks: dict[Hashable, asyncio.Task[None]] = {}

    def key_of(self, signal: PendingSignal) -> Hashable:
        """Return the key of signals that are sent one at a time."""
        return signal.about[self._about_key] if self._about_key else signal.run_id

    def room(self) -> int:
        """Return how many signals may start now."""
        return min(SIGNALS_AT_ONCE - len(self.tasks), MAX_THREADS - threads_of(self.name))

    def find_due(self) -> list[int]:
        """Return the ids of due signals that may start: first attempts first, then the oldest."""
        if (room := self.room()) <= 0:
            return []
        column = f"about__{self._about_key}" if self._about_key else "run_id"
        due = PendingSignal.objects.filter(self.rows, due_at__lte=clock.now())
        due = due.exclude(**{f"{column}__in": list(self.tasks)}) if self.tasks else due
        return list(due.order_by("attempts", "pk").values_list("pk", flat=True)[:room])

    def start(self, signals: list[PendingSignal]) -> list[asyncio.Task[None]]:
        """Start a task for each key of these signals, which the caller has acquired."""
        in_order = sorted(signals, key=lambda signal: signal.pk)
        by_key: dict[Hashable, list[PendingSignal]] = {}
        for signal in in_order:
            by_key.setdefault(self.key_of(signal), []).append(signal)
        for key, of_key in by_key.items():
            task = asyncio.create_task(self._deliver(of_key), name=self.name)
            self.tasks[key] = task
            task.add_done_callback(partial(self._forget, key))
        return [self.tasks[key] for key in by_key]

    def _forget(self, key: Hashable, _: asyncio.Task[None]) -> None:
        del self.tasks[key]

    async def _deliver(self, signals: list[PendingSignal]) -> None:
        """Send the signals one after another, in a thread; abandon the thread if it hangs."""
        batch = _Batch(signals)
        sending = asyncio.wrap_future(start_daemon(batch.send, self.name))
        try:
            await asyncio.wait([sending], timeout=RECEIVERS_TIME)
        finally:  # also if cancelled, as the process stops
            batch.abandoned = not sending.done()
            sending.cancel()
        attempted = list(batch.attempted)
        if batch.abandoned and len(attempted) < len(signals):
            hanging = signals[len(attempted)]
            log.error("signal.receiver_hangs", signal=hanging.name, seconds=RECEIVERS_TIME)
            late = copy(hanging)  # the abandoned thread may still set the outcome of its own
            late.outcome, late.error, late.due_at = "", TOO_LATE, None
            attempted.append(late)
        await writer.write(partial(_settle, signals=attempted))


def _lanes() -> list[SignalLane]:
    is_notice = Q(name=PendingSignal.NOTICE)
    of_kinds = [Q(about__has_key=kind.key) for kind in kinds.values()]
    other = reduce(lambda rest, of_kind: rest & ~of_kind, of_kinds, is_notice)
    return [
        SignalLane("signals", ~is_notice),
        SignalLane("signals of other notices", other),
        *(
            SignalLane(
                f"signals of {kind.key}",
                is_notice & of_kind,
                about_key=kind.key if kind.is_personal else "",
            )
            for kind, of_kind in zip(kinds.values(), of_kinds, strict=True)
        ),
    ]


class Delivery:
    """A task that sends pending signals until it is cancelled.

    `is_single_process`: no other process sends signals. Then all signals acquired before the
    start belong to a dead process, and are due immediately.
    """

    def __init__(self, *, is_single_process: bool) -> None:
        self._is_single_process = is_single_process
        self._woken = asyncio.Event()
        self._lanes = _lanes()

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
            await self._stop()

    async def _stop(self) -> None:
        """Wait briefly for what is being sent; what is not done is sent after the next start."""
        tasks = [task for lane in self._lanes for task in lane.tasks.values()]
        if not tasks:
            return
        with give_up_calls():
            _, hanging = await asyncio.wait(tasks, timeout=STOP_TIME)
            for task in hanging:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

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
        for task in await _start_due(self._lanes):
            task.add_done_callback(lambda _: self._woken.set())


async def send_due() -> bool:
    """Send a batch of due signals, in order for each run; return False if no signal is due."""
    tasks = await _start_due(_lanes())
    await asyncio.gather(*tasks)
    return bool(tasks)


async def _start_due(lanes: list[SignalLane]) -> list[asyncio.Task[None]]:
    """Start to send the due signals for which their lanes have room; return the new tasks."""
    if not await reads.read(_due):
        return []
    ids = await reads.read(lambda: {lane: lane.find_due() for lane in lanes})
    wanted = [id_ for of_lane in ids.values() for id_ in of_lane]
    if not wanted:
        return []
    rows = {signal.pk: signal for signal in await writer.write(partial(_acquire_due, ids=wanted))}
    started = []
    for lane, of_lane in ids.items():
        started += lane.start([rows[id_] for id_ in of_lane if id_ in rows])
    return started


def _due() -> bool:
    return PendingSignal.objects.filter(due_at__lte=clock.now()).exists()


def _acquire_due(tx: Transaction, ids: list[int]) -> list[PendingSignal]:
    due = PendingSignal.objects.filter(pk__in=ids, due_at__lte=tx.now)
    signals = list(due.select_for_update(skip_locked=True))
    rows = PendingSignal.objects.filter(pk__in=[signal.pk for signal in signals])
    rows.update(due_at=tx.now + SENDING_TIME, attempts=F("attempts") + 1)
    return signals


class _Batch:
    """Signals that a thread sends one after another, until the batch is abandoned or late."""

    def __init__(self, signals: list[PendingSignal]) -> None:
        self._signals = signals
        self._until = monotonic() + BATCH_TIME
        self.attempted: list[PendingSignal] = []
        self.abandoned = False

    def send(self) -> None:
        """Send the signals, and set the outcome of each. Runs in a thread."""
        for signal in self._signals:
            if self.abandoned or stopping.is_set() or monotonic() > self._until:
                return  # the rest is due again after SENDING_TIME
            running.set(str(signal.run_id))  # in the context of this thread
            try:
                result = _send(signal)
            except Exception as error:  # e.g. the name of a signal that this version lacks
                log.exception("signal.not_sent", signal=signal.name)
                result = "", _text_of(error), None
            if not self.abandoned:
                signal.outcome, signal.error, signal.due_at = result
                self.attempted.append(signal)


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

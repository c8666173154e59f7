"""The rules for what is allowed: pure functions of a history that yield what is wrong with it."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator

from tests.cluster.checker.builders import overlapping_builders
from tests.cluster.checker.history import Event, History, Sent
from tests.cluster.checker.views import wrong_views

# What only the host of a run writes.
OF_THE_HOST = ("text", "message", "restart", "step", "interaction")

Rule = Callable[[History], Iterable[str]]


def violations(history: History) -> list[str]:
    """Return all that is wrong, each with the conversation or key that it is about."""
    return [f"{rule.__name__}: {violation}" for rule in RULES for violation in rule(history)]


def wrong_ends(history: History) -> Iterator[str]:
    """Report messages without one run that ended as it would have, with the same text."""
    runs = defaultdict(list)
    for run in history.runs:
        runs[run.conversation, run.message_id].append(run)
    for sent in history.sent:
        ended_runs = runs.pop((sent.conversation, sent.message_id), [])
        if len(ended_runs) != 1:
            yield f"{sent.conversation}: {len(ended_runs)} runs of {sent.message_id}"
            continue
        cancelled = sent.stopped and ended_runs[0].status == "cancelled"
        if ended_runs[0].status != "completed" and not cancelled:
            yield f"{sent.conversation}: {sent.message_id} is {ended_runs[0].status}"
        yield from _wrong_text(history, sent, ended_runs[0].id, cancelled=cancelled)
    for conversation, message_id in runs:
        yield f"{conversation}: nobody sent {message_id}"


def _wrong_text(history: History, sent: Sent, run: str, *, cancelled: bool) -> Iterator[str]:
    text = "".join(
        event.payload["text"]
        for event in history.events
        if event.run == run and event.type in ("text", "message")
    )
    if text != sent.output and not (cancelled and sent.output.startswith(text)):
        yield f"{sent.conversation}: {sent.message_id} gave {text!r}, not {sent.output!r}"


def gaps(history: History) -> Iterator[str]:
    """Report logs that the spans of their events do not tile, from 1 to the last sequence."""
    logs: dict[str, list[Event]] = defaultdict(list)
    for event in history.events:
        logs[event.conversation].append(event)
    for conversation, last in history.last_sequences.items():
        at = 0
        for event in sorted(logs[conversation], key=lambda event: event.first):
            if event.first != at + 1:
                yield f"{conversation}: {event.first} follows {at}"
            at = event.sequence
        if at != last:
            yield f"{conversation}: the log ends at {at}, not at {last}"


def repeated_steps(history: History) -> Iterator[str]:
    """Report finished steps that did not run, and steps begun or finished again after their end."""
    finished: dict[str, list[float]] = defaultdict(list)
    cancelled = _cancelled(history)
    for entry in sorted(history.journal, key=lambda entry: entry.position):
        if entry.kind == "step" and entry.finished_at is not None:
            finished[entry.run].append(entry.finished_at)
        elif entry.kind == "step" and entry.run not in cancelled:
            yield f"{entry.run}: a step at {entry.position} has no end"
    yield from _finished_again(history)
    begun, ended = (_by_step(history, f"step.{phase}") for phase in ("begin", "end"))
    for run, times in finished.items():
        for number, at in enumerate(times, 1):
            name = f"{run}:{number}"
            if not ended[name]:
                yield f"{name} is finished and never ran"
            if late := [since for since in begun[name] if since > at]:
                yield f"{name} was begun {late[0] - at:.3f} s after it was finished"
            if len(begun[name]) > 1 + history.faults:
                yield f"{name} was begun {len(begun[name])} times by {history.faults} faults"


def _finished_again(history: History) -> Iterator[str]:
    """Report steps that finished more than once; the journal has only the last time."""
    finished = Counter(
        (event.run, event.payload["step_id"])
        for event in history.events
        if event.type == "step" and event.payload["state"] == "complete"
    )
    for (run, step), count in finished.items():
        if count > 1:
            yield f"{run}: step {step} was finished {count} times"


def _cancelled(history: History) -> set[str]:
    return {run.id for run in history.runs if run.status == "cancelled"}


def _by_step(history: History, kind: str) -> dict[str, list[float]]:
    times: dict[str, list[float]] = defaultdict(list)
    for note in history.diary:
        if note.kind == kind:
            times[note.subject].append(note.at)
    return times


def wrong_answers(history: History) -> Iterator[str]:
    """Report questions without exactly one acknowledged answer in the log and in the journal."""
    entries = {(entry.run, entry.position): entry for entry in history.journal}
    settled = Counter(
        event.payload["interaction_id"]
        for event in history.events
        if event.type == "interaction_update"
    )
    acknowledged = _acknowledged(history)
    cancelled = _cancelled(history)
    for asked in history.interactions:
        entry = entries.get((asked.run, asked.position))
        if asked.status == "cancelled" and asked.run in cancelled and not acknowledged[asked.id]:
            continue
        if asked.status != "answered":
            yield f"{asked.id} is {asked.status}"
        elif settled[asked.id] != 1:
            yield f"{asked.id} was settled {settled[asked.id]} times"
        elif entry is None or entry.finished_at is None or entry.result != asked.response:
            yield f"{asked.id} has {asked.response}, its journal {entry and entry.result}"
        elif others := acknowledged[asked.id] - {asked.answer_id}:
            yield f"{asked.id} has the answer {asked.answer_id}, and {others} were accepted"


def _acknowledged(history: History) -> dict[str, set[str]]:
    """Return by question the ids of the answers that a client was told were accepted."""
    answer_ids: dict[str, set[str]] = defaultdict(set)
    for view in history.views:
        for frame in view.frames:
            if frame["type"] == "ack_message" and frame["outcome"] in ("accepted", "duplicate"):
                answer_ids[frame["content"].get("interaction_id", "")].add(frame["for"])
    return answer_ids


def foreign_writes(history: History) -> Iterator[str]:
    """Report a host's writes by others than the key's holder, and generations that fall."""
    pids = {life.name: life.pid for life in history.lives}
    before: dict[str, int] = defaultdict(int)
    for row in history.audit:
        place = f"{row.conversation}: {row.type} {row.sequence} of {row.key} #{row.generation}"
        if row.type in OF_THE_HOST and row.holder.rpartition(":")[2] != str(pids.get(row.writer)):
            yield f"{place} is by {row.writer}, and the host was {row.holder}"
        if row.generation < before[row.conversation]:
            yield f"{place} comes after #{before[row.conversation]}"
        before[row.conversation] = row.generation


RULES: tuple[Rule, ...] = (
    wrong_ends,
    gaps,
    repeated_steps,
    wrong_answers,
    foreign_writes,
    overlapping_builders,
    wrong_views,
)

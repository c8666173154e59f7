"""The rules for what is allowed: pure functions of a history that yield what is wrong with it."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator

from tests.cluster.checker.builders import overlapping_builders
from tests.cluster.checker.history import Event, History, Note, Sent
from tests.cluster.checker.views import wrong_views

# What only the host of a run writes.
OF_THE_HOST = ("text", "message", "restart", "step", "interaction")

# Seconds from the end of a freeze until the process has begun the step at which it froze.
AWAKENING = 0.5

Rule = Callable[[History], Iterable[str]]


def violations(history: History) -> list[str]:
    """Return all that is wrong, each with the conversation or key that it is about."""
    return [f"{rule.__name__}: {violation}" for rule in RULES for violation in rule(history)]


def wrong_ends(history: History) -> Iterator[str]:
    """Report messages without one run that ended as it would have, with the same text."""
    runs = defaultdict(list)
    for run in history.runs:
        runs[run.conversation, run.message_id].append(run)
    for message in history.sent:
        ended_runs = runs.pop((message.conversation, message.message_id), [])
        if len(ended_runs) != 1:
            yield f"{message.conversation}: {len(ended_runs)} runs of {message.message_id}"
            continue
        cancelled = message.stopped and ended_runs[0].status == "cancelled"
        if ended_runs[0].status != "completed" and not cancelled:
            yield f"{message.conversation}: {message.message_id} is {ended_runs[0].status}"
        yield from _wrong_text(history, message, ended_runs[0].id, cancelled=cancelled)
    for conversation, message_id in runs:
        yield f"{conversation}: nobody sent {message_id}"


def _wrong_text(history: History, message: Sent, run: str, *, cancelled: bool) -> Iterator[str]:
    text = "".join(
        event.payload["text"]
        for event in history.events
        if event.run == run and event.type in ("text", "message")
    )
    if text != message.output and not (cancelled and message.output.startswith(text)):
        yield f"{message.conversation}: {message.message_id} gave {text!r}, not {message.output!r}"


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
    begins, ends = (_by_step(history, f"step.{phase}") for phase in ("begin", "end"))
    for run, times in finished.items():
        for number, at in enumerate(times, 1):
            name = f"{run}:{number}"
            if not ends[name]:
                yield f"{name} is finished and never ran"
            late = [
                note.at - at
                for note in begins[name]
                if note.at > at and not _froze(history, note, at)
            ]
            if late:
                yield f"{name} was begun {late[0]:.3f} s after it was finished"
            if len(begins[name]) > 1 + history.faults:
                yield f"{name} was begun {len(begins[name])} times by {history.faults} faults"


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


def _by_step(history: History, kind: str) -> dict[str, list[Note]]:
    notes: dict[str, list[Note]] = defaultdict(list)
    for note in history.diary:
        if note.kind == kind:
            notes[note.subject].append(note)
    return notes


def _froze(history: History, begin: Note, finished: float) -> bool:
    """Return whether a process stood still while a step was finished, and began it when it went on.

    Nothing can prevent it: the process had looked at its lease, and was about to begin.
    """
    return any(
        life.pid == begin.pid and since < finished < until and begin.at - until < AWAKENING
        for life in history.lives
        for since, until in life.frozen
    )


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
    for prompt in history.interactions:
        entry = entries.get((prompt.run, prompt.position))
        if prompt.status == "cancelled" and prompt.run in cancelled and not acknowledged[prompt.id]:
            continue
        if prompt.status != "answered":
            yield f"{prompt.id} is {prompt.status}"
        elif settled[prompt.id] != 1:
            yield f"{prompt.id} was settled {settled[prompt.id]} times"
        elif entry is None or entry.finished_at is None or entry.result != prompt.response:
            yield f"{prompt.id} has {prompt.response}, its journal {entry and entry.result}"
        elif others := acknowledged[prompt.id] - {prompt.answer_id}:
            yield f"{prompt.id} has the answer {prompt.answer_id}, and {others} were accepted"


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

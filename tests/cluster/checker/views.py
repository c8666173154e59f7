"""Every client got the log: each event once, in order, and the same text."""

from collections import defaultdict
from collections.abc import Iterator

from tests.cluster.checker.history import Event, Frame, History, View

TEXTS = ("text", "message")


def wrong_views(history: History) -> Iterator[str]:
    """Report clients that do not show the log."""
    logs: dict[str, list[Event]] = defaultdict(list)
    for event in history.events:
        logs[event.conversation].append(event)
    for view in history.views:
        where = f"{view.conversation} ({view.name})"
        yield from (f"{where}: {wrong}" for wrong in _wrong_order(view))
        yield from (f"{where}: {wrong}" for wrong in _wrong_events(view, logs[view.conversation]))
        yield from (f"{where}: {wrong}" for wrong in _wrong_texts(view, logs[view.conversation]))


def _wrong_order(view: View) -> Iterator[str]:
    last = 0
    for frame in view.frames:
        sequence = frame.get("sequence")
        # A question that is still open is shown again to each socket.
        if sequence is None or (_asks(frame) and sequence <= last):
            continue
        if sequence <= last:
            yield f"{frame['type']} {sequence} came after {last}"
        last = sequence


def _wrong_events(view: View, log: list[Event]) -> Iterator[str]:
    received_sequences = {frame["sequence"] for frame in view.frames if "sequence" in frame}
    ends = set()
    for event in log:
        ends.add(event.sequence)
        if event.type in TEXTS:
            ends.update(range(event.first, event.sequence))
        # One that was settled before the client came back is not shown as open.
        elif event.type != "interaction" and event.sequence not in received_sequences:
            yield f"never got {event.type} {event.sequence}"
    if strange := received_sequences - ends:
        yield f"got {sorted(strange)[:5]}, which the log does not have"


def _wrong_texts(view: View, log: list[Event]) -> Iterator[str]:
    logged: dict[str, str] = defaultdict(str)
    for event in log:
        if event.type in TEXTS:
            logged[event.run] += event.payload["text"]
    shown_texts = _shown(view)
    for run, text in logged.items():
        if shown_texts.get(run, "") != text:
            yield f"shows {shown_texts.get(run, '')[-60:]!r}, and the log has {text[-60:]!r}"


def _shown(view: View) -> dict[str, str]:
    """Return the text that a client shows, by run."""
    pieces: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for frame in view.frames:
        if frame["type"] == "system_response_message":
            sequence = frame.get("sequence", view.last)
            pieces[frame["run_id"]].append((sequence, frame["content"]["text"]))
        elif frame["type"] == "restart_message":
            kept = frame["content"]["from_sequence"]
            run = frame["run_id"]
            pieces[run] = [piece for piece in pieces[run] if piece[0] < kept]
    return {run: "".join(text for _, text in parts) for run, parts in pieces.items()}


def _asks(frame: Frame) -> bool:
    return bool(frame["type"] == "system_interaction_message")

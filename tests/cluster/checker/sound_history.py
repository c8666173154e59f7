"""A sound history of one conversation, for tests of the checker to spoil."""

from typing import Any

from tests.cluster.checker.history import (
    Audit,
    Entry,
    Event,
    Frame,
    History,
    Interaction,
    Life,
    Note,
    Run,
    Sent,
    View,
)

C, RUN, KEY = "user0/c", "run-0", "user:1:probe_per_user"
OLD, NEW = Life("worker0.1", 100, 0.0), Life("worker1.1", 200, 0.0)
UPDATE = {"interaction_id": "i-0"}
PAYLOADS: list[tuple[str, int, dict[str, Any]]] = [
    ("user_message", 1, {}),
    ("run", 2, {"status": "running"}),
    ("step", 3, {"step_id": "s-1", "state": "in_progress"}),
    ("step", 4, {"step_id": "s-1", "state": "complete"}),
    ("interaction", 5, UPDATE),
    ("interaction_update", 6, UPDATE),
    ("message", 8, {"text": "yes no"}),
    ("run", 9, {"status": "completed"}),
]
FRAMES = {
    "user_message": "conversation_message",
    "run": "run_update_message",
    "step": "system_intermediate_message",
    "interaction": "system_interaction_message",
    "interaction_update": "interaction_update_message",
}


def frame(type_: str, sequence: int, **fields: Any) -> Frame:
    return {"type": type_, "sequence": sequence, "run_id": RUN, **fields}


def text(sequence: int, text: str) -> Frame:
    return frame("system_response_message", sequence, content={"text": text})


def ack(answer: str, outcome: str = "accepted") -> Frame:
    return {"type": "ack_message", "outcome": outcome, "for": answer, "content": UPDATE}


def view() -> View:
    """Return a client that got it live, and was cut off in the middle."""
    frames = [frame(FRAMES[type_], at) for type_, at, _ in PAYLOADS if type_ in FRAMES]
    frames[6:6] = [text(7, "yes "), text(8, "no")]
    return View(C, "client", [ack("a-0"), *frames], last=9)


def sound_history() -> History:
    """Return a history with a step and a question; the host changes once, after the step."""
    events = [
        Event(C, RUN, at - (type_ == "message"), at, type_, payload)
        for type_, at, payload in PAYLOADS
    ]
    audit = [
        Audit(C, event.sequence, event.type, KEY, generation, f"vm:{life.pid}", life.name)
        for event in events
        for generation, life in [(1, OLD) if event.sequence < 5 else (2, NEW)]
    ]
    notes = [
        ("builder.begin", "user0", OLD, 1.0),
        ("builder.built", "user0", OLD, 2.0),
        ("step.begin", f"{RUN}:1", OLD, 3.0),
        ("step.end", f"{RUN}:1", OLD, 4.0),
        ("builder.closing", "user0", OLD, 6.0),
        ("builder.closed", "user0", OLD, 7.0),
        ("builder.begin", "user0", NEW, 8.0),
        ("builder.built", "user0", NEW, 9.0),
    ]
    return History(
        last_sequences={C: 9},
        events=events,
        runs=[Run(RUN, C, KEY, "m", "completed")],
        interactions=[Interaction("i-0", RUN, 2, "answered", {"value": "yes no"}, "a-0")],
        journal=[
            Entry(RUN, 1, "step", None, 5.0),
            Entry(RUN, 2, "ask", {"value": "yes no"}, 10.0),
        ],
        audit=audit,
        diary=[Note(kind, subject, life.pid, at) for kind, subject, life, at in notes],
        lives=[OLD, NEW],
        sent=[Sent(C, "m", "…", "yes no")],
        views=[view()],
    )

"""The record of what there is to look at after faults: rows, processes' notes, clients' frames.

Times are seconds of the clock that all processes of the machine share.
"""

from dataclasses import dataclass, field
from typing import Any

Frame = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Event:
    """A row of the log."""

    conversation: str
    run: str
    first: int
    sequence: int
    type: str
    payload: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Run:
    """A row of a run."""

    id: str
    conversation: str
    key: str
    message_id: str
    status: str


@dataclass(frozen=True, slots=True)
class Interaction:
    """A row of a question."""

    id: str
    run: str
    position: int
    status: str
    response: dict[str, Any] | None
    answer_id: str


@dataclass(frozen=True, slots=True)
class Entry:
    """A row of the journal."""

    run: str
    position: int
    kind: str
    result: Any
    finished_at: float | None


@dataclass(frozen=True, slots=True)
class Audit:
    """The process that wrote an event, and the one that held the lease of its key at that
    moment.
    """

    conversation: str
    sequence: int
    type: str
    key: str
    generation: int
    holder: str
    writer: str


@dataclass(frozen=True, slots=True)
class Note:
    """A line of the probes' diary."""

    kind: str
    subject: str
    pid: int
    at: float


@dataclass(slots=True)
class Life:
    """A process from start to end; `frozen` are the times in which it stood still."""

    name: str
    pid: int
    began: float
    ended: float | None = None
    frozen: list[tuple[float, float]] = field(default_factory=list)


@dataclass(slots=True)
class Sent:
    """A message that somebody sent, and the text that its run must come to.

    One that they asked to stop may also end cancelled, with a part of the text.
    """

    conversation: str
    message_id: str
    text: str
    output: str
    stopped: bool = False


@dataclass(slots=True)
class View:
    """The frames that one client of a conversation got, over all its sockets."""

    conversation: str
    name: str
    frames: list[Frame] = field(default_factory=list)
    close_codes: list[int] = field(default_factory=list)
    last: int = 0
    # The messages whose runs are over.
    ended: set[str] = field(default_factory=set)

    def take(self, frame: Frame) -> None:
        self.frames.append(frame)
        if frame["type"] == "run_update_message" and frame["status"] == "complete":
            self.ended.add(frame["parent_id"])
        self.last = max(self.last, frame.get("sequence") or 0)


@dataclass(slots=True)
class History:
    """The record of one test. `faults` is how many things were done to the cluster meanwhile."""

    last_sequences: dict[str, int] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)
    interactions: list[Interaction] = field(default_factory=list)
    journal: list[Entry] = field(default_factory=list)
    audit: list[Audit] = field(default_factory=list)
    diary: list[Note] = field(default_factory=list)
    lives: list[Life] = field(default_factory=list)
    sent: list[Sent] = field(default_factory=list)
    views: list[View] = field(default_factory=list)
    faults: int = 1

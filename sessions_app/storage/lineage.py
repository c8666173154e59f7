"""The lines of runs that begin one another, and the limits of a line, without which it had no end.

A run continues a line if code of another run begins it: as a child, in a step, or in the receiver
of a signal about the other run. A message of a person begins a new line.
"""

from contextvars import ContextVar
from dataclasses import asdict, dataclass
from uuid import UUID

from sessions_app.errors import TooManyRuns
from sessions_app.json_types import JsonObject
from sessions_app.models.people import UserId
from sessions_app.settings import RuntimeSettings
from sessions_app.storage import sql

MAX_DEPTH = 20

BEGUN = """
    SELECT depth, origin, id, (
        SELECT COUNT(*) FROM sessions_app_run r
        WHERE r.origin = COALESCE(before.origin, before.id)
    )
    FROM sessions_app_run before WHERE id = %s
"""
UNFINISHED = """
    SELECT COUNT(*) FROM (
        SELECT 1 FROM sessions_app_run r
        JOIN sessions_app_conversation c ON c.id = r.conversation_id
        WHERE c.owner_id = %s AND r.status IN ('queued', 'running', 'waiting') LIMIT %s
    ) unfinished
"""
# The id of the run whose code is being executed, or about which a signal is being sent.
running: ContextVar[str] = ContextVar("running", default="")


@dataclass(frozen=True, slots=True)
class Place:
    """The place of a new run in a line: the columns `depth` and `origin` of its row."""

    depth: int = 0
    origin: UUID | None = None

    @property
    def columns(self) -> JsonObject:
        """The columns of the run's row that store the place."""
        return asdict(self)


def current_run() -> UUID | None:
    """Return the run whose code, or receivers of signals, are being executed."""
    name = running.get()
    return UUID(name) if sql.is_uuid(name) else None


def next_place(before: UUID | None, owner: UserId) -> Place:
    """Return the place of a run that the run `before` begins for a user; blocks.

    A run that nobody has begun by code, or that code of a script begins, has the first place.

    Raises:
        TooManyRuns: the line has reached a limit.
    """
    rows = [] if before is None else sql.fetch(BEGUN, (before,))
    for depth, origin, id_, begun in rows:
        limits = RuntimeSettings.load()
        if depth >= MAX_DEPTH:
            raise TooManyRuns.in_a_row(MAX_DEPTH)
        if limits.RUNS_PER_MESSAGE and begun >= limits.RUNS_PER_MESSAGE:
            raise TooManyRuns.of_a_message(limits.RUNS_PER_MESSAGE)
        most = limits.RUNS_PER_USER
        if most and count_unfinished(owner, most) >= most:
            raise TooManyRuns.of_a_user(most)
        return Place(depth + 1, sql.read_uuid(origin or id_))
    return Place()


def count_unfinished(owner: UserId, limit: int) -> int:
    """Count the owner's unfinished runs, up to `limit`. Blocks."""
    [(count,)] = sql.fetch(UNFINISHED, (owner, limit))
    return int(count)

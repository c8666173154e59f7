"""The branches of a conversation: the order of its runs once a message was edited or tried again.

Only the beginning of a branch is stored. A fork continues the run before the forked run; a run with
`follows` continues the run named there; any other run continues the run before it in the log.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

from sessions_app.errors import NotFound
from sessions_app.json_types import JsonObject
from sessions_app.models import Conversation, Run
from sessions_app.storage import sql

# Columns of `models.Run` from which the tree of branches in a conversation is built.
COLUMNS = ("id", "parent_id", "forked_from_id", "follows_id")

ANCESTORS = """
    WITH RECURSIVE line (id, parent_id) AS (
        SELECT id, parent_id FROM sessions_app_run WHERE id = %s
        UNION ALL
        SELECT r.id, r.parent_id FROM sessions_app_run r JOIN line ON r.id = line.parent_id
    )
    SELECT id FROM line
"""
DESCENDANTS = """
    WITH RECURSIVE tree (id) AS (
        SELECT id FROM sessions_app_run WHERE id = %s
        UNION ALL
        SELECT r.id FROM sessions_app_run r JOIN tree ON r.parent_id = tree.id
    )
    SELECT id FROM tree
"""


class Branches:
    """The order of a conversation's runs, built from rows of `COLUMNS` in the order of the log."""

    def __init__(self, rows: Iterable[tuple[UUID, UUID | None, UUID | None, UUID | None]]) -> None:
        # Maps each top-level run (one that a message began) to the run that it continues.
        self._before: dict[UUID, UUID | None] = {}
        self._versions: dict[UUID, list[UUID]] = {}
        # Maps each run to its top-level ancestor; a top-level run is mapped to itself.
        self._roots: dict[UUID, UUID] = {}
        self._beginnings: set[UUID] = set()
        for run, parent, forked_from, follows in rows:
            if parent is None:
                self._add(run, forked_from, follows)
            else:
                self._roots[run] = self._roots.get(parent, parent)

    def _add(self, run: UUID, forked_from: UUID | None, follows: UUID | None) -> None:
        before = next(reversed(self._before), None)
        versions: list[UUID] = []
        if forked_from in self._before:
            before, versions = self._before[forked_from], self._versions[forked_from]
            self._beginnings.add(run)
        elif follows in self._before:
            before = follows
            self._beginnings.add(run)
        versions.append(run)
        self._before[run], self._versions[run] = before, versions
        self._roots[run] = run

    def predecessor(self, run: UUID) -> UUID | None:
        """Return the run that this run continues."""
        return self._before[run]

    def newest(self) -> UUID | None:
        """Return the last run of the branch that people see; None if there is no run."""
        return next(reversed(self._before), None)

    def end(self, run: UUID) -> UUID | None:
        """Return the newest run among this run and its continuations; None for an unknown run."""
        if run not in self._roots:
            return None
        end = self._roots[run]
        going_on = {end}
        for later, before in self._before.items():
            if before in going_on:
                going_on.add(later)
                end = later
        return end

    def up_to(self, run: UUID | None) -> list[UUID]:
        """Return the runs of the branch that ends with this run, latest first."""
        runs = []
        while run is not None:
            runs.append(run)
            run = self._before.get(run)
        return runs

    def runs_outside(self, branch: Iterable[UUID]) -> set[UUID]:
        """Return the runs outside the given branch, children included."""
        on = set(branch)
        return {run for run, root in self._roots.items() if root not in on}

    def beginning(self, branch: Sequence[UUID]) -> UUID | None:
        """Return the run at which the given branch split off; None for the original branch."""
        return next((run for run in branch if run in self._beginnings), None)

    def versions(self, run: UUID) -> list[UUID]:
        """Return the runs of all versions of the message that started this run, oldest first."""
        return self._versions.get(run, [])


def read(conversation: UUID) -> Branches | None:
    """Read the conversation's branches; None if there is only one. Blocks: call in a thread."""
    if not Conversation.objects.filter(pk=conversation, branched=True).exists():
        return None
    return read_all(conversation)


def read_all(conversation: UUID) -> Branches:
    """Read the order of the runs, even of a single branch. Blocks: call in a thread."""
    runs = Run.objects.filter(conversation_id=conversation).order_by("sequence")
    return Branches(runs.values_list(*COLUMNS).iterator())


def ancestors(run: UUID) -> list[UUID]:
    """Return the run, its parent, and so on up to the run that a message began. Blocks."""
    return [sql.read_uuid(id_) for (id_,) in sql.fetch(ANCESTORS, (run,))]


def descendants(run: UUID) -> set[UUID]:
    """Return the run, its children, theirs, and so on. Blocks."""
    return {sql.read_uuid(id_) for (id_,) in sql.fetch(DESCENDANTS, (run,))}


@dataclass(frozen=True, slots=True)
class BranchPoint:
    """The point where a message starts a branch: as a version of a run's message, or after a run.

    `before` are the runs that the message continues.
    """

    before: frozenset[UUID]
    replaces: Run | None = None
    follows: UUID | None = None

    @property
    def columns(self) -> JsonObject:
        """The columns of the run's row that store this branch point."""
        if self.replaces is not None:
            return {"forked_from_id": self.replaces.id, "fork_position": 1}
        return {"follows_id": self.follows}


def find_branch_point(
    conversation: UUID, replaces: str | None, follows: str | None
) -> BranchPoint | None:
    """Find the point where a message that replaces or follows a run starts a branch.

    Return None if the message continues the shown branch. Reads the database.

    Raises:
        NotFound: no message of the conversation has begun that run.
    """
    run_id = replaces or follows
    if run_id is None:
        return None
    runs = Run.objects.filter(conversation_id=conversation, parent=None)
    run = runs.filter(pk=run_id).first() if sql.is_uuid(run_id) else None
    if run is None:
        raise NotFound("There is no such run in this conversation.")
    branches = read_all(conversation)
    if replaces:
        return BranchPoint(frozenset(branches.up_to(branches.predecessor(run.id))), replaces=run)
    end = branches.end(run.id)
    if end == branches.newest():
        return None
    return BranchPoint(frozenset(branches.up_to(end)), follows=end)

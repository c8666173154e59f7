"""The writer's transaction: appending events, checking leases, and calls after the commit."""

import asyncio
from collections.abc import Callable, Iterable
from typing import Protocol
from uuid import UUID

from sessions_app import errors
from sessions_app.json_types import JsonObject
from sessions_app.logs import Log
from sessions_app.models import Event, Run
from sessions_app.storage import clock, sql
from sessions_app.storage.new_event import LEASE, Changes, NewEvent, Update
from sessions_app.storage.records import EventRecord, RunRecord
from sessions_app.storage.storable import encode

log = Log(__name__)

TAKE_SEQUENCE = """
    UPDATE sessions_app_conversation SET last_sequence = last_sequence + 1, updated_at = %s{extra}
    WHERE id = %s RETURNING last_sequence
"""
# SQL that changes further columns of the conversation, by event type; the owner's list shows them.
EXTRA_ASSIGNMENTS = {
    Event.Type.USER_MESSAGE.value: ", listed_at = %s",
    Event.Type.INTERACTION.value: ", waiting = waiting + 1",
    Event.Type.INTERACTION_UPDATE.value: ", waiting = waiting - 1",
}
LOCK = "SELECT 1 FROM sessions_app_conversation WHERE id = %s FOR UPDATE"


class FollowingWork(Protocol):
    """Work that follows other work in the same transaction, and must not make that work fail."""

    def run(self, tx: "Transaction") -> None:
        """Do the work; after an error, the transaction is repeated without any follower."""

    def committed(self, tx: "Transaction") -> None:
        """Use the result: the transaction is committed."""

    def rolled_back(self) -> None:
        """Go on without a result: the work is not done, or its outcome is unknown."""


class Transaction:
    """A transaction, which appends events and collects calls to make after the commit.

    Several pieces of work may share one transaction (group commit), one after another.
    `takes_followers`: work may add a `FollowingWork`.
    """

    def __init__(self, *, takes_followers: bool = False) -> None:
        self.takes_followers = takes_followers
        self.followers: list[FollowingWork] = []
        self.now = clock.now()
        self.begun = False
        # True once the commit begins: before that, the database cannot have stored the work.
        self.committing = False
        self.events: list[EventRecord] = []
        self.after_commit: list[Callable[[], None]] = []
        self._calls: dict[asyncio.AbstractEventLoop, list[Callable[[], None]]] = {}
        # Leases checked so far, by key and generation. The value is True if an operator has asked
        # the host to close its user's builder, the reusable object of a workflow.
        self._fences: dict[tuple[str, int], bool] = {}

    def append(
        self,
        run: RunRecord | Run,
        type_: str,
        payload: JsonObject,
        *,
        lease: tuple[str, int] | None = None,
        then: Changes = (),
    ) -> int:
        """Append an event of the run to its conversation's log; return the event's sequence.

        Characters that cannot be stored are replaced: see `storable`. `lease` and `then`: see
        `NewEvent`.

        Raises:
            Fenced: as `check_fence`, with `lease`.
        """
        sequence = self._append(run, type_, payload, lease=lease, then=then)
        if sequence is None:
            raise errors.ConversationGone(run.conversation_id)
        return sequence

    def append_if(
        self,
        first: Update,
        run: RunRecord | Run,
        type_: str,
        payload: JsonObject,
        *,
        then: Changes = (),
    ) -> bool:
        """Append an event as `append` does, if the update `first` changes a row; return whether."""
        return self._append(run, type_, payload, first=first, then=then) is not None

    def _append(
        self,
        run: RunRecord | Run,
        type_: str,
        payload: JsonObject,
        *,
        lease: tuple[str, int] | None = None,
        first: Update | None = None,
        then: Changes = (),
    ) -> int | None:
        payload, text = encode(payload)
        extra = EXTRA_ASSIGNMENTS.get(type_, "")
        unchecked = None if lease in self._fences else lease
        stored = sql.database().store_event(
            NewEvent(
                TAKE_SEQUENCE.format(extra=extra),
                (self.now,) * (1 + extra.count("%s")) + (run.conversation_id,),
                (run.conversation_id, run.id, type_, text, self.now),
                unchecked,
                first,
                then,
            )
        )
        if unchecked is not None:
            self._note_fence(unchecked, stored.generation, stored.evict_requested_at)
        sequence: int | None = stored.sequence
        if sequence is not None:
            self.events.append(
                EventRecord(
                    run.conversation_id,
                    run.id,
                    run.message_id,
                    run.client_format,
                    sequence,
                    sequence,
                    type_,
                    payload,
                    self.now,
                    len(text),
                )
            )
        return sequence

    def call_in(self, loop: asyncio.AbstractEventLoop, call: Callable[[], None]) -> None:
        """Call a function in the event loop after the commit, unless the loop is closed by then."""
        self._calls.setdefault(loop, []).append(call)

    def wake_loops(self) -> None:
        """Make the collected calls in their event loops; call after the commit.

        Each loop is woken once, as a wake-up takes a system call and makes the thread wait for the
        interpreter.
        """
        for loop, calls in self._calls.items():
            try:
                loop.call_soon_threadsafe(call_all, calls)
            except RuntimeError:  # the loop is closed: the work is stored, and no caller waits
                log.warning("storage.loop_closed", calls=len(calls))

    def lock(self, conversation: UUID) -> None:
        """Keep other transactions from writing to the conversation before this one commits.

        Writers to rows of a conversation's runs take this lock first, or append first: the fixed
        order avoids deadlocks. A single writer needs no lock.
        """
        if sql.database().WRITERS > 1:
            sql.fetch(LOCK, (conversation,))

    def check_fence(self, key: str, generation: int) -> bool:
        """Check the host's lease of the key; return whether an operator asked to close the builder.
        The check is made once per transaction, because the lease row is locked until the commit.

        Raises:
            Fenced: a newer host has the key, with another generation.
        """
        evict = self._fences.get((key, generation))
        if evict is None:
            # A shared lock: a new host waits for this commit, other writes of this host do not.
            rows = sql.fetch(sql.add_lock(LEASE, "FOR SHARE"), (key,))
            evict = self._note_fence((key, generation), *(rows[0] if rows else (0, None)))
        return evict

    def _note_fence(self, lease: tuple[str, int], current: int, evict_requested_at: object) -> bool:
        if current != lease[1]:
            raise errors.Fenced(*lease, current)
        evict = self._fences[lease] = evict_requested_at is not None
        return evict

    def forget_fence(self, key: str) -> None:
        """Discard the cached check of the key's lease: this transaction raised its generation."""
        self._fences = {fence: evict for fence, evict in self._fences.items() if fence[0] != key}


def call_all(calls: Iterable[Callable[[], None]]) -> None:
    """Call the functions after a commit; an error stops neither the other calls nor the thread."""
    for call in calls:
        try:
            call()
        except Exception:
            log.exception("storage.call_failed")

"""The forking of a run: a new run keeps the recorded calls of the old run before a position."""

from collections.abc import Callable
from functools import cached_property
from operator import itemgetter
from typing import NamedTuple
from uuid import UUID, uuid4

from sessions_app.conversations.listing import lock_kept
from sessions_app.conversations.messages import SUBMITTED, add_trace_id
from sessions_app.conversations.run_parts import RunPart, read_parts
from sessions_app.conversations.stops import find_run, interrupt, read_active
from sessions_app.errors import Busy, Invalid
from sessions_app.journal.journal import Journal
from sessions_app.journal.tracks import NESTED_CALLS
from sessions_app.json_types import JsonObject
from sessions_app.models import (
    Conversation,
    Event,
    Interaction,
    JournalEntry,
    Run,
)
from sessions_app.models.host_lease import HostKey
from sessions_app.models.interaction import NEVER
from sessions_app.notify.announce import announce
from sessions_app.storage import sql
from sessions_app.storage.attachments import shown_file
from sessions_app.storage.lineage import Place, next_place
from sessions_app.storage.records import RunRecord, read_records
from sessions_app.storage.run_text import pieces_of
from sessions_app.storage.transaction import Transaction
from sessions_app.workflows import registry

Payload = JsonObject
# Functions that take a run and the last position at which it may be forked, and return this
# position or an earlier one. An application that keeps state of runs outside of the journal appends
# a function in `ready()`.
limits: list[Callable[[Run, int], int]] = []


class Forker(NamedTuple):
    """The user name that the log gets for a fork, and the run whose code makes it, if any."""

    name: str
    run: UUID | None


def fork_run(tx: Transaction, run: UUID, *, position: int, by: Forker, key: str) -> UUID:
    """Begin a fork of a run, in the same conversation; see `runs.fork`.

    Raises:
        NotFound: there is no such run, or its conversation is deleted.
        Invalid: the run has not reached that position, or is a child.
        UnknownWorkflow: the run's workflow is not offered.
        Busy: a run is active in the conversation, and the workflow takes one at a time.
        TooManyRuns: the run that makes the fork may begin no other.
    """
    source = find_run(run)
    if source.parent_id is not None:
        raise Invalid("Another run started this one: fork that one.")
    lock_kept(tx, source.conversation_id)
    source = find_run(run)  # read again: the run may have changed before the lock was free
    conversation = source.conversation
    for run_id, _ in sql.fetch(SUBMITTED, (conversation.id, key)):
        return sql.read_uuid(run_id)
    offer = registry.get(conversation.workflow)
    policy = offer.policy or "enqueue"
    if policy == "reject" and read_active(conversation.id):
        raise Busy
    past = _Past(source, position)
    host_key = offer.key(conversation=conversation.id, owner=conversation.owner_id)
    fork = _insert(tx, past, key, host_key, next_place(by.run, conversation.owner_id))
    record = RunRecord(fork.id, fork.conversation_id, fork.message_id, fork.client_format)
    if policy == "interrupt":
        interrupt(tx, record, only_asking=False)
    payload: JsonObject = {
        "message_id": fork.message_id,
        "text": fork.text,
        "client_format": fork.client_format,
        "fork": {"run": str(source.id), "position": position, "by": by.name},
    }
    if files := source.metadata.get("files"):
        payload["files"] = [shown_file(file) for file in files]
    tx.append(record, Event.Type.USER_MESSAGE.value, payload)
    _copy(tx, past, fork)
    # Restore the conversation's count of open questions. All copied questions are settled, but the
    # copied events of a reassigned question change the count.
    columns = {"branched": True, "waiting": conversation.waiting}
    Conversation.objects.filter(pk=conversation.id).update(**columns)
    announce(tx, fork.key)
    return fork.id


def _insert(tx: Transaction, past: "_Past", message_id: str, key: HostKey, place: Place) -> Run:
    """Insert the fork's row; if it keeps no calls, the run uses the workflow's newest version."""
    source, run = past.source, uuid4()
    fork = Run(
        id=run,
        conversation_id=source.conversation_id,
        key=key,
        workflow=key.workflow,
        sequence=source.conversation.last_sequence,
        message_id=message_id,
        text=source.text,
        client_format=source.client_format,
        metadata=add_trace_id(source.metadata, run),
        forked_from=source,
        fork_position=past.position,
        **place.columns,
        created_at=tx.now,
    )
    if past.positions:
        fork.version, fork.started_at = source.version, tx.now
        fork.patches = {
            patch: since for patch, since in (source.patches or {}).items() if since < past.position
        }
    fork.save(force_insert=True)
    return fork


class _Past:
    """The part of a run that a fork keeps: finished calls before a position, and their text."""

    def __init__(self, source: Run, position: int) -> None:
        journal = Journal.load(source.id)
        last = journal.last_position + 1
        if source.stop_point is not None:  # leave out the clean-up calls, which followed the stop
            last = min(last, source.stop_point["position"] + 1)
        for limit in limits:
            last = limit(source, last)
        if not 1 <= position <= last:
            raise Invalid(f"The run can be forked from the positions 1 to {last}.", last=last)
        self.source, self.position = source, position
        redone = _calls_around(source, position)
        kept_entries = [
            entry
            for entry in journal.entries
            if entry.finished and entry.call.position < position
            if entry.call.position not in redone
        ]
        self.positions = {entry.call.position for entry in kept_entries}
        # Sequence number of the last kept call in the log; the text before that call is kept, too.
        self.until = max((entry.sequence for entry in kept_entries), default=0)

    @property
    def entries(self) -> list[JournalEntry]:
        """The journal entries of the kept calls, except prompts."""
        return list(self.source.journal.filter(position__in=self.positions))

    @cached_property
    def interactions(self) -> dict[str, Interaction]:
        """The settled interactions of the kept calls."""
        rows = self.source.interactions.filter(position__in=self.positions)
        return {str(row.id): row for row in rows}

    def events(self) -> list[tuple[str, Payload]]:
        """Return types and payloads of the kept events, in the order of the log."""
        kept_events: list[tuple[int, str, Payload]] = []
        for part in read_parts(read_records(self.source.events.all())):
            if part.type == Event.Type.MESSAGE:
                kept_text = "".join(
                    piece.text for piece in part.pieces if piece.sequence <= self.until
                )
                at, type_ = part.events[0].first_sequence, Event.Type.TEXT.value
                kept_events += [(at, type_, {"text": text}) for text in pieces_of(kept_text)]
            elif self._is_kept(part):
                kept_events += [(row.sequence, row.type, row.payload) for row in part.events]
        kept_events.sort(key=itemgetter(0))
        return [(type_, payload) for _, type_, payload in kept_events]

    def _is_kept(self, part: RunPart) -> bool:
        if part.type == Event.Type.STEP:
            return int(part.payload["step_id"].split(":")[1]) in self.positions
        return part.payload.get("interaction_id") in self.interactions


def _calls_around(run: Run, position: int) -> set[int]:
    """Return the positions of steps that may contain a nested call at `position` or later.

    A step may contain such a call if it ended after the first of these calls had begun.
    """
    gather = run.journal.filter(kind=JournalEntry.Kind.GATHER, name=NESTED_CALLS).first()
    if gather is None:
        return set()
    redone_at = [
        *run.journal.filter(position__gte=position).values_list("started_at", flat=True),
        *run.interactions.filter(position__gte=position).values_list("created_at", flat=True),
    ]
    ended_later = run.journal.filter(
        kind=JournalEntry.Kind.STEP,
        place__startswith=f"{gather.position}.",
        finished_at__gt=min(redone_at, default=NEVER),
    )
    return set(ended_later.values_list("position", flat=True))


def _copy(tx: Transaction, past: _Past, fork: Run) -> None:
    """Copy the kept part of the run to its fork: events, interactions, journal entries."""
    ids = {interaction_id: uuid4() for interaction_id in past.interactions}
    sequence = 0
    for type_, payload in past.events():
        sequence = tx.append(fork, type_, _replace_ids(payload, fork, ids))
        if type_ in (Event.Type.INTERACTION, Event.Type.ASSIGNMENT):
            past.interactions[payload["interaction_id"]].sequence = sequence
    for id_, interaction in past.interactions.items():
        interaction.id, interaction.run = ids[id_], fork
    Interaction.objects.bulk_create(past.interactions.values())
    entries = past.entries
    for entry in entries:
        # Give each entry the last copied sequence number: then all copied text precedes the entry,
        # and a replay does not show the text again.
        entry.pk, entry.run, entry.sequence = None, fork, sequence
    JournalEntry.objects.bulk_create(entries)


def _replace_ids(payload: Payload, fork: Run, ids: dict[str, UUID]) -> Payload:
    if (interaction := payload.get("interaction_id")) is not None:
        return {**payload, "interaction_id": str(ids[interaction])}
    if (step := payload.get("step_id")) is not None:
        return {**payload, "step_id": f"{fork.id}:{step.partition(':')[2]}"}
    return payload

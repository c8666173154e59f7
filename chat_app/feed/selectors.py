"""The reads of feeds. Everything here blocks: call it by `sessions_app.storage.reads.read`."""

from bisect import bisect
from dataclasses import dataclass
from datetime import datetime
from itertools import accumulate
from uuid import UUID

from django.db.models import Q, QuerySet

from sessions_app.conversations.run_parts import TEXTS
from sessions_app.models import Conversation, Event, Interaction, Run
from sessions_app.models.people import UserId
from sessions_app.storage import event_log
from sessions_app.storage.records import EventRecord
from sessions_app.storage.run_text import split

# Of a message that is being written, a first connection gets at most this many of the last pieces,
# and not more than so many characters.
PIECES = 2000
SO_FAR = 256 * 1024
# Bytes, about, that a feed takes from the log at once, and keeps while its client does not read.
PAGE_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class FeedStart:
    """The beginning of a feed.

    `first_events` are those at or before the cursor that the client gets first; `last` is the log's
    end. `place_lost`: the client named a place that the log does not have.
    """

    cursor: int
    last: int
    first_events: list[EventRecord]
    place_lost: bool


def pending_interactions(*conditions: Q, **lookups: object) -> QuerySet[Interaction]:
    """Return the interactions that wait for an answer of their conversation's owner."""
    pending = Interaction.objects.filter(status=Interaction.Status.PENDING, for_owner=True)
    return pending.filter(*conditions, **lookups)


def find_conversation(owner: UserId, conversation_id: str) -> UUID | None:
    """Find the owner's conversation of a name; another's is as good as none."""
    conversations = Conversation.objects.of(owner, conversation_id)
    return conversations.values_list("pk", flat=True).first()


def read_events(conversation: UUID, after: int, limit: int) -> tuple[list[EventRecord], set[str]]:
    """Read the next page of events after the cursor, and which prompts among them are settled by
    now, or no longer for whom they were opened.
    """
    events = _page(event_log.read(conversation, after=after, limit=limit))
    opened = {
        event.payload["interaction_id"]: event.type == Event.Type.INTERACTION
        for event in events
        if event.type in (Event.Type.INTERACTION, Event.Type.ASSIGNMENT)
    }
    if not opened:
        return events, set()
    pending = Interaction.objects.filter(pk__in=opened, status=Interaction.Status.PENDING)
    unchanged = {(str(pk), for_owner) for pk, for_owner in pending.values_list("pk", "for_owner")}
    return events, {id_ for id_, for_owner in opened.items() if (id_, for_owner) not in unchanged}


def _page(events: list[EventRecord]) -> list[EventRecord]:
    """Keep the first events that fit; at least one, however large it is."""
    sizes = accumulate(size_of(event) for event in events)
    return events[: max(1, bisect(list(sizes), PAGE_BYTES))]


def size_of(event: EventRecord) -> int:
    """Return the size of an event's texts: nothing else in it is large."""
    return sum(len(value) for value in event.payload.values() if isinstance(value, str))


def read_opening(conversation: UUID, *, after: int | None, kept_cursor: int | None) -> FeedStart:
    """Read what a socket with `last_sequence=after`, or with a kept cursor, gets first.

    Pending prompts up to the cursor; on a first connection (neither is there, or `after` is no
    place of the log) also the output so far of the messages that are being written.
    """
    last = Conversation.objects.values_list("last_sequence", flat=True).get(pk=conversation)
    place_lost = after is not None and not 0 <= after <= last
    cursor = kept_cursor if after is None else after
    first = place_lost or cursor is None
    start = last if first or cursor is None else min(cursor, last)
    first_events = pending_prompts(conversation=conversation, sequence__lte=start)
    if first:
        first_events += _output_so_far(conversation, last)
    return FeedStart(
        start, last, sorted(first_events, key=lambda event: event.sequence), place_lost
    )


def pending_prompts(*conditions: Q, **lookups: object) -> list[EventRecord]:
    """Return pending prompts as the events that opened them, oldest first."""
    pending = (
        pending_interactions(*conditions, **lookups).select_related("run").order_by("sequence")
    )
    return [_prompt(row) for row in pending]


def next_prompt(conversation: UUID, up_to: int) -> EventRecord | None:
    """Return the oldest pending prompt up to there, of a run that nobody has asked to stop."""
    pending = pending_interactions(
        conversation=conversation, sequence__lte=up_to, run__stop_requested_at__isnull=True
    )
    row = pending.select_related("run").order_by("sequence").first()
    return None if row is None else _prompt(row)


def _prompt(row: Interaction) -> EventRecord:
    payload = {
        "interaction_id": str(row.pk),
        "prompt": row.prompt,
        "expires_at": row.expires_at.isoformat() if row.expires_at else None,
        "version": row.version,
    }
    span = (row.sequence, row.sequence)
    return _record(row.run, Event.Type.INTERACTION, span, payload, row.created_at)


def _output_so_far(conversation: UUID, last: int) -> list[EventRecord]:
    """Return each running run's text since its last other event, as one event. That a host took the
    run up is nothing that it did: its text goes on.

    The run may end, and its text be folded, while this reads; what is after `last` is left out.
    """
    records = []
    for run in Run.objects.filter(conversation=conversation, status=Run.Status.RUNNING):
        events = Event.objects.filter(conversation=conversation, run=run, first_sequence__lte=last)
        other_event = (
            events.exclude(type__in=[*TEXTS, Event.Type.RUN]).order_by("-sequence").first()
        )
        rows = _newest(
            events.filter(
                type__in=TEXTS, first_sequence__gt=other_event.sequence if other_event else 0
            )
        )
        pieces = [
            piece
            for row in reversed(rows)
            for piece in split(row.first_sequence, row.payload)
            if piece.sequence <= last
        ]
        if pieces:
            text = "".join(piece.text for piece in pieces)
            span = (pieces[0].sequence, pieces[-1].sequence)
            records.append(_record(run, Event.Type.TEXT, span, {"text": text}, rows[0].created_at))
    return records


def _newest(texts: QuerySet[Event]) -> list[Event]:
    """Return the last texts, the newest first."""
    newest: list[Event] = []
    size = 0
    for row in texts.order_by("-sequence")[:PIECES].iterator(chunk_size=16):
        size += len(row.payload["text"])
        if newest and size > SO_FAR:
            break
        newest.append(row)
    return newest


def _record(
    run: Run, type_: str, span: tuple[int, int], payload: dict[str, object], at: datetime
) -> EventRecord:
    ids = (run.conversation_id, run.pk, run.message_id, run.client_format)
    return EventRecord(*ids, *span, type_, payload, at)

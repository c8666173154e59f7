"""The reads of feeds. All functions block: call them by `sessions_app.storage.reads.read`."""

from bisect import bisect
from dataclasses import dataclass
from itertools import accumulate
from uuid import UUID

from django.db.models import Max, Min, Q, QuerySet

from chat_app.feed.cursors import KeptCursor
from sessions_app.models import Conversation, Event, Interaction, Run
from sessions_app.models.people import UserId
from sessions_app.storage import records
from sessions_app.storage.records import EventRecord

# Approximate bytes of events that a feed reads from the log at a time, and holds in memory until
# its client has read them.
PAGE_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class FeedStart:
    """The beginning of a feed.

    `first_events` are the pending prompts at or before the cursor, which the client gets first;
    `last` is the log's end. `cursor_lost`: the client named a position that the log does not have.
    The client may have events up to `repeated_up_to`, some of which are sent again; 0: none are.
    """

    cursor: int
    last: int
    first_events: list[EventRecord]
    cursor_lost: bool
    repeated_up_to: int = 0


def pending_interactions(*conditions: Q, **lookups: object) -> QuerySet[Interaction]:
    """Return the interactions that wait for an answer of the conversation's owner."""
    pending = Interaction.objects.filter(status=Interaction.Status.PENDING, for_owner=True)
    return pending.filter(*conditions, **lookups)


def find_conversation(owner: UserId, conversation_id: str) -> UUID | None:
    """Find the owner's conversation by name, ignoring conversations of other users."""
    conversations = Conversation.objects.of(owner, conversation_id)
    return conversations.values_list("pk", flat=True).first()


def read_events(conversation: UUID, after: int, limit: int) -> tuple[list[EventRecord], set[str]]:
    """Read a page of events after the cursor, and the ids of those of its prompts already settled.

    A prompt also counts as settled if, since its event, it was handed from the owner to others, or
    from others to the owner.
    """
    events = _page(records.read(conversation, after=after, limit=limit))
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
    """Keep the first events that fit into PAGE_BYTES, and at least one event of any size."""
    sizes = accumulate(size_of(event) for event in events)
    return events[: max(1, bisect(list(sizes), PAGE_BYTES))]


def size_of(event: EventRecord) -> int:
    """Return the size of an event's texts: nothing else in an event is large."""
    return sum(len(value) for value in event.payload.values() if isinstance(value, str))


def read_opening(
    conversation: UUID, *, after: int | None, kept_cursor: KeptCursor | None
) -> FeedStart:
    """Read the start of a feed: after the client's `last_sequence`, or else after a stored cursor.

    If some events before the stored cursor may not have arrived, the feed begins at the messages
    that they belong to. Without a cursor, or if `after` is no position of the log, the feed begins
    at the newest message, or at an earlier one that is still being answered: the client may have
    missed any output since.
    """
    last = Conversation.objects.values_list("last_sequence", flat=True).get(pk=conversation)
    cursor_lost = after is not None and not 0 <= after <= last
    repeated_up_to = 0
    if after is not None and not cursor_lost:
        start = after
    elif kept_cursor is None or cursor_lost:
        start, repeated_up_to = _start_of_newest(conversation, last), last
    elif kept_cursor.is_exact:
        start = min(kept_cursor.sent, last)
    else:
        start = _start_of_unconfirmed(conversation, kept_cursor)
        repeated_up_to = kept_cursor.sent
    first_events = pending_prompts(conversation=conversation, sequence__lte=start)
    return FeedStart(start, last, first_events, cursor_lost, repeated_up_to)


def _start_of_unconfirmed(conversation: UUID, cursor: KeptCursor) -> int:
    """Return the position before all messages with events that may not have arrived."""
    events = Event.objects.filter(
        conversation=conversation, sequence__gt=cursor.confirmed, first_sequence__lte=cursor.sent
    )
    runs = Run.objects.filter(pk__in=events.values("run"), parent=None)
    first: int | None = runs.aggregate(first=Min("sequence"))["first"]
    return cursor.confirmed if first is None else min(first, cursor.confirmed)


def _start_of_newest(conversation: UUID, last: int) -> int:
    """Return the position before the newest message and before all messages with running runs."""
    is_running = Q(status=Run.Status.RUNNING)
    starts = Run.objects.filter(conversation=conversation, parent=None).aggregate(
        newest=Max("sequence"), running=Min("sequence", filter=is_running)
    )
    return min((start for start in starts.values() if start is not None), default=last)


def is_behind(conversation: UUID, kept_cursor: KeptCursor | None) -> bool:
    """Return whether output waits for a client with this stored cursor, or may come soon."""
    opening = read_opening(conversation, after=None, kept_cursor=kept_cursor)
    at_work = Run.objects.filter(
        conversation=conversation, status__in=(Run.Status.QUEUED, Run.Status.RUNNING)
    )
    return opening.cursor < opening.last or at_work.exists()


def pending_prompts(*conditions: Q, **lookups: object) -> list[EventRecord]:
    """Return pending prompts as the events that opened them, oldest first."""
    pending = (
        pending_interactions(*conditions, **lookups).select_related("run").order_by("sequence")
    )
    return [_prompt(row) for row in pending]


def next_prompt(conversation: UUID, up_to: int) -> EventRecord | None:
    """Return the oldest pending prompt up to a sequence, ignoring runs that were asked to stop."""
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
    ids = (row.conversation_id, row.run_id, row.run.message_id, row.run.client_format)
    span = (row.sequence, row.sequence)
    return EventRecord(*ids, *span, Event.Type.INTERACTION, payload, row.created_at)

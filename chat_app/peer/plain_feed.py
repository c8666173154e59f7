"""The feed of a plain client, which shows one prompt and one answer at a time."""

from collections.abc import Awaitable, Callable, Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from uuid import UUID, uuid4

from django.db import DatabaseError

from chat_app.feed.feed import Feed, Send
from chat_app.feed.limits import ClientGone
from chat_app.feed.selectors import FeedStart, next_prompt, pending_interactions
from chat_app.peer import plain_frames
from chat_app.peer.plain_frames import PLAIN, TRACE, taken_away_note, with_trace
from chat_app.wire.frames import Frame, is_end
from sessions_app.conversations.messages import SubmittedMessage
from sessions_app.conversations.run_parts import RESTING
from sessions_app.errors import Invalid, StorageUnavailable
from sessions_app.interactions import answers
from sessions_app.interactions.answers import TAKEN, AnswerResult, IncomingAnswer
from sessions_app.logs import Log
from sessions_app.models import AuditEntry, Conversation, Event, Interaction, Run
from sessions_app.models.people import Person
from sessions_app.prompts import TextAnswer
from sessions_app.questions.asked_event import AskedEvent
from sessions_app.storage import reads
from sessions_app.storage.records import EventRecord
from sessions_app.workflows import registry

log = Log(__name__)


@dataclass
class ShownRuns:
    """The runs that a plain client is shown: the newest, or all runs of a parallel workflow.

    A plain client takes all output as the answer to its last message. `unfinished_runs` are
    unfinished according to the log up to the cursor. The client gets only one end of parallel
    output: that of the last run.
    """

    parallel: bool = False
    newest: UUID | None = None
    unfinished_runs: set[UUID] = field(default_factory=set)

    def has(self, run: UUID) -> bool:
        """Return whether the client is shown the run's output."""
        return self.parallel or run == self.newest

    def may_end(self, run: UUID) -> bool:
        """Return whether the run's end may be sent: no other shown run is unfinished."""
        return not (self.parallel and self.unfinished_runs - {run})

    def add(self, run: UUID) -> None:
        """Make the run of a new message the newest run."""
        self.newest = run
        self.unfinished_runs.add(run)

    def follow(self, event: EventRecord) -> None:
        """Update `unfinished_runs` by an event that the cursor passes."""
        if event.type != Event.Type.RUN:
            return
        if event.payload["status"] in RESTING:
            self.unfinished_runs.discard(event.run)
        else:
            self.unfinished_runs.add(event.run)


def read_shown_runs(conversation: UUID, cursor: int) -> ShownRuns:
    """Read the shown runs of a feed that begins at the cursor. Blocks: call it by `reads.read`."""
    workflow = Conversation.objects.values_list("workflow", flat=True).get(pk=conversation)
    messages = Event.objects.filter(conversation=conversation, type=Event.Type.USER_MESSAGE)
    newest = messages.order_by("-sequence").values_list("run", flat=True).first()
    offer = registry.find(workflow)
    if offer is None or offer.policy != "parallel":
        return ShownRuns(newest=newest)
    later = Event.objects.filter(
        conversation=conversation, type=Event.Type.RUN, sequence__gt=cursor
    ).values_list("run", flat=True)
    runs = Run.objects.filter(conversation=conversation)
    unfinished_runs = runs.filter(status__in=Run.UNFINISHED).values_list("pk", flat=True)
    return ShownRuns(True, newest, {*later, *unfinished_runs})


class PlainFeed(Feed):
    """A feed that sends one prompt at a time, and only output of the runs in `ShownRuns`."""

    def __init__(
        self,
        conversation: UUID,
        conversation_id: str,
        send: Send,
        person: Person,
        link: Callable[[str], str],
    ) -> None:
        super().__init__(conversation, conversation_id, send, person.id)
        self._link = link
        # Interaction of the last prompt that the client got, and the prompt itself until it is
        # closed.
        self.shown_id: str | None = None
        self._open: EventRecord | None = None
        self._person = person
        # Interactions that wait for a person, according to the log up to the cursor.
        self._pending: set[str] = set()
        self._runs = ShownRuns()
        # Position up to which the client may already have output. The first text before that
        # position gets a note about repetition.
        self._noted_up_to = 0
        self._traces: dict[UUID, Frame] = {}

    async def start(self, opening: FeedStart) -> None:
        """Start the feed. Output that the client may already have gets a note on repetition."""
        self._runs = await reads.read_for(
            self._reader, read_shown_runs, self.conversation, opening.cursor
        )
        self._noted_up_to = opening.repeated_up_to
        await super().start(opening)

    async def submit(self, submit: Callable[[], Awaitable[SubmittedMessage]]) -> SubmittedMessage:
        """Store a message of the client, and send nothing meanwhile.

        The client takes all later output for the answer, and may have dropped its open prompt, so
        the prompt is sent again.
        """
        async with self._lock:
            try:
                submitted_message = await submit()
                if not submitted_message.duplicate:
                    self._runs.add(submitted_message.run)
            finally:
                await self._offer_again()
        return submitted_message

    async def answer(self, incoming_answer: IncomingAnswer) -> AnswerResult:
        """Settle the prompt that the client answers: the named one, or else the one on display.

        A settled prompt is closed in the client. After a refused answer, the client gets the prompt
        again, with the reason.

        Raises:
            Invalid: as `answers.answer`.
        """
        names = [*incoming_answer.names, self.shown_id] if self.shown_id else incoming_answer.names
        async with self._lock:
            try:
                answer_result = await answers.answer(
                    by=self._person,
                    conversation_id=self.conversation_id,
                    answer=replace(incoming_answer, names=names),
                    sent=self.sent_prompts,
                )
            except Invalid as error:
                await self._offer_again(str(error))
                raise
            if answer_result.outcome not in TAKEN:
                await self._offer_again()
            elif str(answer_result.interaction) == self.shown_id:
                self._open = None
        return answer_result

    async def show_again(self) -> None:
        """Send the open prompt again from memory, because the database is unavailable."""
        async with self._lock:
            if self._open is not None:
                with suppress(ClientGone):
                    await self._offer(self._open)

    async def give(
        self, event: EventRecord, *, after: int, settled_ids: Collection[str] = ()
    ) -> int:
        """Send those frames of an event that a plain client can show."""
        self._runs.follow(event)
        if event.type == Event.Type.INTERACTION:
            return await self._handle_prompt(event, settled_ids)
        if event.type == Event.Type.INTERACTION_UPDATE:
            return await self._handle_settlement(event)
        size = 0
        if event.type == Event.Type.ASSIGNMENT_UPDATE:
            size = await self._handed_on(event)
        if not self._runs.has(event.run):
            return size
        frames = await self._frames(event, after, settled_ids, PLAIN)
        if not self._runs.may_end(event.run):
            frames = [frame for frame in frames if not plain_frames.is_end(frame)]
        if event.first_sequence <= self._noted_up_to and plain_frames.note_repeats(frames):
            self._noted_up_to = 0
        return size + await self._send_all(self._add_trace(event, frames))

    def _preview(self, events: Iterable[EventRecord]) -> None:
        for event in events:
            if event.type == Event.Type.USER_MESSAGE:
                self._runs.add(event.run)

    def _add_trace(self, event: EventRecord, frames: list[Frame]) -> list[Frame]:
        """Insert a run's trace after the first frame of the run that is shown."""
        if frames and frames[0]["type"] == TRACE:
            trace = frames.pop(0)
            trace.pop("sequence", None)
            self._traces[event.run] = trace
        if frames and event.run in self._traces:
            frames = with_trace(frames, self._traces.pop(event.run))
        if is_end(event):
            self._traces.pop(event.run, None)
        return frames

    async def _handle_prompt(self, event: EventRecord, settled_ids: Collection[str]) -> int:
        interaction = event.payload["interaction_id"]
        self._pending.add(interaction)
        if interaction in settled_ids or self.shown_id not in (None, interaction):
            return 0
        if self._runs.has(event.run):
            return await self._offer(event)
        return await self._offer_next(event.sequence)

    async def _handle_settlement(self, event: EventRecord) -> int:
        self._pending.discard(event.payload["interaction_id"])
        if self.shown_id not in (None, event.payload["interaction_id"]):
            return 0
        was_open, self.shown_id, self._open = self._open, None, None
        size = await self._offer_next(event.sequence)
        # Send nothing at the deadline, because the client closes the prompt by itself then.
        if not size and was_open and event.payload["via"] != "deadline":
            size = await self._send_all(await self._frames(event, 0, (), PLAIN))
        return size

    async def _handed_on(self, event: EventRecord) -> int:
        """Offer the next prompt after a handover, by which the person may gain or lose a prompt."""
        interaction = event.payload["interaction_id"]
        if event.payload.get("change") not in AuditEntry.HANDED_ON:
            if event.payload["status"] != Interaction.Status.PENDING:
                self._pending.discard(interaction)
            return 0
        self._pending.add(interaction)
        if self.shown_id not in (None, interaction):
            return 0
        # Read the assignment from the database, because events do not contain it.
        if self.shown_id is not None and await reads.read_for(
            self._reader, pending_interactions(pk=interaction).exists
        ):
            return 0
        was_open, self.shown_id, self._open = self._open, None, None
        size = await self._offer_next(event.sequence)
        if not size and was_open:
            note = taken_away_note(was_open, event.payload["to"])
            size = await self._send_all(await self._frames(note, 0, (), PLAIN))
        return size

    async def _offer_again(self, problem: str = "") -> None:
        self.shown_id, self._open = None, None
        try:
            await self._offer_next(self.cursor, problem)
        # Only log this error: after the client's next message, the prompt is offered again.
        except (DatabaseError, StorageUnavailable) as error:
            log.warning("feed.not_offered", error=str(error))
        except ClientGone:
            log.debug("feed.client_gone", cursor=self.cursor)

    async def _offer_next(self, up_to: int, problem: str = "") -> int:
        """Send the oldest pending prompt of the log up to `up_to`."""
        if not self._pending:  # skip the query if no prompt is pending
            return 0
        event = await reads.read_for(self._reader, next_prompt, self.conversation, up_to)
        if event is None:
            return 0
        return await self._offer(event, problem)

    async def _offer(self, event: EventRecord, problem: str = "") -> int:
        asked, shown = AskedEvent.of(event.payload), event
        if problem:
            repeated_prompt = {**asked.content, "text": f"{problem}\n\n{asked.text}"}
            shown = event._replace(payload={**event.payload, "prompt": repeated_prompt})
        size = await self._send_all(await self._frames(shown, 0, (), PLAIN))
        if asked.type.is_seen:
            await self._mark_seen(asked)
            self.shown_id = asked.interaction
        else:
            self.shown_id, self._open = asked.interaction, shown
            self._keep_prompt(event, size)
        return size

    async def _mark_seen(self, asked: AskedEvent) -> None:
        """Mark a notification as seen once it is sent, because the client answers none."""
        incoming_answer = IncomingAnswer(
            answer_id=str(uuid4()),
            via="websocket",
            answer=TextAnswer("ok"),
            interaction=asked.interaction,
        )
        await answers.answer(
            by=self._person, conversation_id=self.conversation_id, answer=incoming_answer
        )

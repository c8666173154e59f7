"""Of which runs a plain client is shown something: it takes all that comes for its last message."""

from dataclasses import dataclass, field
from uuid import UUID

from sessions_app.errors import UnknownWorkflow
from sessions_app.models import Conversation, Event, Run
from sessions_app.storage.records import EventRecord
from sessions_app.workflows import registry

OVER = frozenset({*(status.value for status in Run.FINISHED), Run.Status.SUSPENDED.value})


@dataclass
class ShownRuns:
    """The newest one; all, where the workflow runs them in parallel.

    `unfinished` are those of the log up to the cursor. With the last of them ends, for the client,
    what goes on in parallel.
    """

    parallel: bool = False
    newest: UUID | None = None
    unfinished: set[UUID] = field(default_factory=set)

    def has(self, run: UUID) -> bool:
        """Whether the client is shown what the run does."""
        return self.parallel or run == self.newest

    def may_end(self, run: UUID) -> bool:
        """Whether its end is one for the client too: nothing else goes on that it is shown."""
        return not (self.parallel and self.unfinished - {run})

    def add(self, run: UUID) -> None:
        """There is a newer message."""
        self.newest = run
        self.unfinished.add(run)

    def follow(self, event: EventRecord) -> None:
        """The cursor comes to this event."""
        if event.type != Event.Type.RUN:
            return
        if event.payload["status"] in OVER:
            self.unfinished.discard(event.run)
        else:
            self.unfinished.add(event.run)


def read_shown_runs(conversation: UUID, cursor: int) -> ShownRuns:
    """Those of a feed that begins at the cursor. Blocks: call it by `reads.read`."""
    workflow = Conversation.objects.values_list("workflow", flat=True).get(pk=conversation)
    messages = Event.objects.filter(conversation=conversation, type=Event.Type.USER_MESSAGE)
    newest = messages.order_by("-sequence").values_list("run", flat=True).first()
    if not _in_parallel(workflow):
        return ShownRuns(newest=newest)
    later = Event.objects.filter(
        conversation=conversation, type=Event.Type.RUN, sequence__gt=cursor
    ).values_list("run", flat=True)
    runs = Run.objects.filter(conversation=conversation)
    unfinished = runs.filter(status__in=Run.UNFINISHED).values_list("pk", flat=True)
    return ShownRuns(True, newest, {*later, *unfinished})


def _in_parallel(workflow: str) -> bool:
    try:
        return registry.get(workflow).policy == "parallel"
    except UnknownWorkflow:
        return False

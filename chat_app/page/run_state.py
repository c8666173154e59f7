"""What the runs of a conversation are doing, in words."""

from collections.abc import Container
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.utils.translation import gettext, ngettext

from sessions_app.models import Event, Run

SHOWN = 20


@dataclass(frozen=True, slots=True)
class RunState:
    """`name` is for style and script, `words` for people; times are those it counts from or to.

    `behind` says what else waits; `stoppable` whether Stop would do something.
    """

    name: str
    words: str
    since: datetime | None = None
    until: datetime | None = None
    behind: str = ""
    stoppable: bool = False

    @property
    def active(self) -> bool:
        """Whether a second message would meet a run that is under way."""
        return self.name in ("queued", "working", "needs-you", "sleeping", "stopping")


def run_state(conversation: UUID, asked: Container[UUID]) -> RunState:
    """The state of the run that matters most now: one that waits for you, else the one at work.

    `asked` are the runs that do.

    Blocks: call it in a thread.
    """
    runs = list(
        Run.objects.filter(
            conversation_id=conversation, status__in=[*Run.UNFINISHED, Run.Status.SUSPENDED]
        ).order_by("created_at")[:SHOWN]
    )
    active = [run for run in runs if run.status != Run.Status.SUSPENDED]
    if not active:
        return _at_rest(conversation, runs)
    first = min(active, key=lambda run: _rank(run, asked))
    name, words, since, until = _words(first, asked)
    messages = [run for run in active if run.parent_id is None and run is not first]
    queued = sum(run.status == Run.Status.QUEUED for run in messages)
    behind = ""
    if queued:
        behind = ngettext("%(n)d message queued", "%(n)d messages queued", queued) % {"n": queued}
    stoppable = any(run.stop_requested_at is None for run in active)
    return RunState(name, words, since, until, behind, stoppable)


def _rank(run: Run, asked: Container[UUID]) -> int:
    if run.id in asked:
        return 0
    order = (Run.Status.RUNNING, Run.Status.WAITING, Run.Status.QUEUED)
    return 1 + order.index(Run.Status(run.status))


def _words(run: Run, asked: Container[UUID]) -> tuple[str, str, datetime | None, datetime | None]:
    if run.stop_requested_at is not None:
        return "stopping", gettext("Stopping"), run.stop_requested_at, None
    if run.id in asked:
        return "needs-you", gettext("Needs you"), None, None
    if run.status == Run.Status.QUEUED:
        return "queued", gettext("Queued"), run.created_at, None
    if run.status == Run.Status.WAITING and run.wake_at is not None:
        return "sleeping", gettext("Sleeping until"), None, run.wake_at
    step = _step(run)
    words = gettext("Working: %(step)s") % {"step": step} if step else gettext("Working")
    return "working", words, run.started_at, None


def _step(run: Run) -> str:
    """The name of the step that is under way."""
    last = Event.objects.filter(run=run, type=Event.Type.STEP).order_by("-sequence").first()
    if last is None or last.payload["state"] != "in_progress":
        return ""
    return str(last.payload["name"])


def _at_rest(conversation: UUID, suspended: list[Run]) -> RunState:
    if suspended:
        words = gettext("Suspended: someone who runs this site has to resume it.")
        stopping = any(run.stop_requested_at is not None for run in suspended)
        return RunState("suspended", words, stoppable=not stopping)
    # One that was sent since the others were read has a state of its own at the next look.
    ended = Run.objects.filter(conversation_id=conversation, parent=None, status__in=Run.FINISHED)
    last = ended.order_by("-created_at").first()
    if last is None:
        return RunState("new", "")
    words = {
        Run.Status.COMPLETED: gettext("Done"),
        Run.Status.FAILED: gettext("Failed"),
        Run.Status.CANCELLED: gettext("Stopped"),
    }[Run.Status(last.status)]
    return RunState(last.status, words)

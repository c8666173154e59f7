"""The state of a conversation's runs, in words."""

from collections.abc import Collection, Container, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from django.db.models import OuterRef, Subquery
from django.utils.translation import gettext, ngettext

from sessions_app.interactions.outcome_texts import waits_for
from sessions_app.json_types import JsonObject
from sessions_app.models import Event, Interaction, Run

MOST_SHOWN = 20


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
        """True if a second message would meet a run that is under way."""
        return self.name in ("queued", "working", "needs-you", "sleeping", "waiting", "stopping")


def read_runs(conversation: UUID) -> dict[Run, JsonObject | None]:
    """Read the runs whose state the page may show, oldest first, each with its last logged step.

    Blocks: call it in a thread.
    """
    conversation_runs = Run.objects.filter(conversation_id=conversation)
    ended_runs = conversation_runs.filter(parent=None, status__in=Run.FINISHED).order_by(
        "-sequence"
    )
    live = conversation_runs.filter(status__in=[*Run.UNFINISHED, Run.Status.SUSPENDED])
    steps = Event.objects.filter(run=OuterRef("pk"), type=Event.Type.STEP).order_by("-sequence")
    runs = (
        (live | conversation_runs.filter(pk=Subquery(ended_runs.values("pk")[:1])))
        .annotate(last_step=Subquery(steps.values("payload")[:1]))
        .order_by("sequence")[:MOST_SHOWN]
    )
    return {run: run.last_step for run in runs}


def run_state(runs: dict[Run, JsonObject | None], asking_runs: Collection[UUID]) -> RunState:
    """Return the state of the run that matters most: one that waits for you, else one at work.

    `runs` as `read_runs` found them; `asking_runs` are those that wait for you.
    """
    active = [run for run in runs if run.status in Run.UNFINISHED]
    if not active:
        return _at_rest(list(runs))
    first = min(active, key=lambda run: _rank(run, asking_runs))
    if asking_runs and (first.id not in asking_runs or first.stop_requested_at is None):
        state = RunState("needs-you", gettext("Needs you"))  # one may ask that is not among them
    else:
        state = _state(first, runs[first])
    messages = [run for run in active if run.parent_id is None and run is not first]
    queued_count = sum(run.status == Run.Status.QUEUED for run in messages)
    behind = ngettext("%(n)d message queued", "%(n)d messages queued", queued_count)
    return replace(
        state,
        behind=behind % {"n": queued_count} if queued_count else "",
        stoppable=any(run.stop_requested_at is None for run in active),
    )


def _rank(run: Run, asking_runs: Container[UUID]) -> int:
    if run.id in asking_runs:
        return 0
    order = (Run.Status.RUNNING, Run.Status.WAITING, Run.Status.QUEUED)
    return 1 + order.index(Run.Status(run.status))


def _state(run: Run, last: JsonObject | None) -> RunState:
    if run.stop_requested_at is not None:
        return RunState("stopping", gettext("Stopping"), run.stop_requested_at)
    if run.status == Run.Status.QUEUED:
        return RunState("queued", gettext("Queued"), run.created_at)
    if run.status == Run.Status.WAITING and run.wake_at is not None:
        return RunState("sleeping", gettext("Paused until"), until=run.wake_at)
    if run.status == Run.Status.WAITING and (interaction := _others(run)) is not None:
        return RunState("waiting", waits_for(interaction), interaction.created_at)
    step = last["name"] if last and last["state"] == "in_progress" else ""
    words = gettext("Working: %(step)s") % {"step": step} if step else gettext("Working")
    return RunState("working", words, run.started_at)


def _others(run: Run) -> Interaction | None:
    """Return the oldest of the run's questions that wait for others."""
    pending = Interaction.objects.filter(run=run, status=Interaction.Status.PENDING)
    return pending.select_related("assignee").order_by("sequence").first()


def _at_rest(runs: Sequence[Run]) -> RunState:
    suspended_runs = [run for run in runs if run.status == Run.Status.SUSPENDED]
    if suspended_runs:
        words = gettext("Suspended: an administrator of this site must resume it.")
        is_stopping = any(run.stop_requested_at is not None for run in suspended_runs)
        return RunState("suspended", words, stoppable=not is_stopping)
    # One that was sent since they were read has a state of its own at the next look.
    if not runs:
        return RunState("new", "")
    last = runs[-1]
    words = {
        Run.Status.COMPLETED: gettext("Done"),
        Run.Status.FAILED: gettext("Failed"),
        Run.Status.CANCELLED: gettext("Stopped"),
    }[Run.Status(last.status)]
    return RunState(last.status, words)

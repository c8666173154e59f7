"""The resumption of a failed or suspended run from its journal, once the cause is fixed."""

from collections.abc import Mapping
from uuid import UUID

from sessions_app.conversations.listing import lock_kept
from sessions_app.conversations.stops import find_run, stop_children
from sessions_app.errors import OutcomeUnknown, ResultRefused
from sessions_app.journal.journal import last_positions
from sessions_app.journal.tracks import gather_of, track_of
from sessions_app.models import Event, Interaction, JournalEntry, Run
from sessions_app.notify.announce import announce
from sessions_app.storage.run_text import unfold
from sessions_app.storage.transaction import Transaction

RUN = JournalEntry.Kind.RUN
STEPS = (JournalEntry.Kind.STEP, JournalEntry.Kind.STREAM, RUN)


def is_resumable(run: Run) -> bool:
    """Return whether the run is suspended, or has failed and is not a child run.

    The failure of a child was reported to its parent. If the parent is resumed, it begins a new
    child.
    """
    has_failed = run.status == Run.Status.FAILED
    return run.status == Run.Status.SUSPENDED or (has_failed and run.parent_id is None)


def resume_run(tx: Transaction, run_id: UUID, by: str) -> bool:
    """Queue a failed or suspended run again, like a new run; return False for any other run.

    Answers and finished steps are kept. A failed step is repeated if no further call followed it,
    except a `once` step with unknown outcome. Prompts that were open at the failure are asked
    again.

    Raises:
        NotFound: there is no such run, or its conversation is deleted.
    """
    run = find_run(run_id)
    lock_kept(tx, run.conversation_id)
    run.refresh_from_db()
    if not is_resumable(run):
        return False
    if run.status == Run.Status.FAILED:
        _reopen(tx, run)
    run.status, run.error, run.crashes = Run.Status.QUEUED, None, 0
    run.save(update_fields=["status", "error", "crashes", "finished_at", "stop_requested_at"])
    payload = {"status": Run.Status.QUEUED.value, "reason": f"resumed by {by}"}
    tx.append(run, Event.Type.RUN, payload)
    announce(tx, run.key)
    return True


def _reopen(tx: Transaction, run: Run) -> None:
    """Restore a failed run to its state before the failure.

    Interactions that the end cancelled keep this status, but lose their position in the journal, so
    that the run asks again.
    """
    run.finished_at = None
    if run.stop_point is None:  # keep the request of a stopped run, which resumes its clean-up
        run.stop_requested_at = None
    last = last_positions(run.id)
    unfold(run.id, run.conversation_id)
    cancelled_interactions = run.interactions.filter(status=Interaction.Status.CANCELLED)
    cancelled_interactions.update(position=None)
    # Repeat the calls of child runs. Those that the end of the run has not stopped yet are stopped.
    while stop_children(tx, run.id):
        pass
    run.journal.filter(kind=RUN, finished_at=None).delete()
    failed_steps = run.journal.filter(error__isnull=False, kind__in=STEPS).exclude(
        error__type__in=(OutcomeUnknown.__name__, ResultRefused.__name__)  # keep: it may have run
    )
    failed_steps.filter(
        pk__in=[step.pk for step in failed_steps if _was_last(run, step, last)]
    ).delete()


def _was_last(run: Run, entry: JournalEntry, last: Mapping[str, int]) -> bool:
    """Return whether no call followed a failed call in its track or after a `gather` around it."""
    track, position = track_of(entry.place), entry.last_position or 0
    while track and last[track] <= position:
        position = gather_of(track)
        track = track_of(run.journal.get(position=position).place)
    return last[track] <= position

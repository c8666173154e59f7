"""The escalation of a prompt that nobody has answered in time: more people are asked."""

from datetime import timedelta
from uuid import UUID

from sessions_app.errors import UnknownAssignee
from sessions_app.interactions import assigning
from sessions_app.interactions.assigning import Candidates
from sessions_app.interactions.handing_on import Action, Change, hand_on
from sessions_app.interactions.settlement import InteractionRecord, find_interactions
from sessions_app.logs import Log
from sessions_app.models import Interaction
from sessions_app.models.people import Person
from sessions_app.prompts.assignment import assignment_of
from sessions_app.storage.transaction import Transaction

log = Log(__name__)


def escalate_due(tx: Transaction, interaction: UUID) -> None:
    """Escalate a prompt whose escalation is due, unless another process was faster."""
    for pending in find_interactions(interaction=interaction, pending=True):
        if Interaction.objects.filter(pk=interaction, escalates_at__lte=tx.now).exists():
            escalate(tx, pending, by=None, via="deadline")


def escalate(tx: Transaction, prompt: InteractionRecord, *, by: Person | None, via: str) -> bool:
    """Add the people of the next escalation to the candidates; False if no escalation is left."""
    assignment = assignment_of(prompt)
    if prompt.status != Interaction.Status.PENDING or not (assignment and assignment.escalate):
        return False
    step, *later = assignment.escalate
    candidates = Candidates()
    for assignee in step.to:
        try:
            candidates.add(assignee)
        except UnknownAssignee as error:  # skip an assignee deleted after the prompt was asked
            log.warning("assignment.nobody", interaction=str(prompt.id), reason=str(error))
    assigning.change(prompt.id, candidates)
    gap = timedelta(seconds=later[0].after - step.after) if later else None
    changes = {
        "to": [*assignment.to, *step.to],
        "escalate": later,
        "names": [*assignment.names, *candidates.names],
    }
    escalates_at = tx.now + gap if gap is not None else None
    change, assignment = Change(Action.ESCALATED, by, via), assignment.model_copy(update=changes)
    hand_on(tx, prompt, change, candidates, assignment, escalates_at=escalates_at)
    return True

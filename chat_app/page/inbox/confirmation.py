"""The success message about a reader's last action on a question.

The message comes from stored rows, so a forged URL with a question's id cannot show a false claim.
"""

from dataclasses import dataclass
from uuid import UUID

from django.utils.translation import pgettext

from chat_app.inbox.inbox_parts import find_prompt
from chat_app.page.inbox.inbox_entries import InboxEntry, make_entries
from sessions_app.models import AuditEntry, Interaction
from sessions_app.models.people import UserId, full_name
from sessions_app.prompts import APPROVE
from sessions_app.storage.sql import is_uuid

MAX_ANSWER_SHOWN = 40  # maximum characters of an answer in the message


@dataclass(frozen=True, slots=True)
class Confirmation:
    """A reader's action in `words`, and the question. `can_undo`: the reader holds a claim."""

    words: str
    question: str
    interaction: UUID
    can_undo: bool


def read_confirmation(reader: UserId, name: str) -> Confirmation | None:
    """Read the reader's last action on a question; None if there is no action. Blocks."""
    prompt_and_right = find_prompt(reader, UUID(name)) if is_uuid(name) else None
    if prompt_and_right is None:
        return None
    prompt, may_answer = prompt_and_right
    [entry] = make_entries([prompt], reader, may_answer=may_answer)
    words = _words(entry)
    is_claim = entry.outcome is None and entry.is_mine
    return Confirmation(words, entry.question, prompt.pk, is_claim) if words else None


def _words(entry: InboxEntry) -> str:
    interaction = entry.interaction
    if entry.my_vote and interaction.answered_by_id != entry.reader:
        alike = sum(vote.answer == entry.my_vote for vote in entry.votes)
        words = pgettext("hitl", "Your vote: %(answer)s – %(count)s of %(needed)s votes")
        return words % {
            "answer": entry.my_vote[:MAX_ANSWER_SHOWN],
            "count": alike,
            "needed": entry.needed_votes,
        }
    if entry.outcome:
        return _answered(entry) if interaction.answered_by_id == entry.reader else ""
    if entry.is_mine:
        return pgettext("hitl", "Claimed")
    return _handed_on(interaction, entry.reader)


def _answered(entry: InboxEntry) -> str:
    stored_answer = entry.interaction.response or {}
    if decision := entry.prompt.decision(stored_answer):
        return pgettext("hitl", "Approved") if decision == APPROVE else pgettext("hitl", "Rejected")
    answer = entry.answer_text({**stored_answer, "note": ""})
    if entry.prompt.choices and len(answer) <= MAX_ANSWER_SHOWN:
        return pgettext("hitl", "Answered “%(answer)s”") % {"answer": answer}
    return pgettext("hitl", "Answered")


def _handed_on(interaction: Interaction, reader: UserId | None) -> str:
    if interaction.assignee is None:
        return ""
    changes = AuditEntry.objects.filter(interaction=interaction.pk).exclude(action="shown")
    last = changes.order_by("-at", "-pk").first()
    if last is None or (last.action, last.by) != (AuditEntry.Action.DELEGATED, str(reader)):
        return ""
    return pgettext("hitl", "Handed to %(name)s") % {"name": full_name(interaction.assignee)}

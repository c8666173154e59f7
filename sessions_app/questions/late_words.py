"""The messages about answers and claims that came too late, for people and for programs."""

from django.utils.translation import pgettext, pgettext_lazy

from sessions_app.interactions.answers import AnswerResult, Outcome
from sessions_app.interactions.claims import ClaimState
from sessions_app.models import Interaction
from sessions_app.models.people import called

NOT_WAITING = pgettext_lazy("hitl", "This question is no longer waiting for you.")


def late_words(answer_result: AnswerResult) -> str:
    """Return a sentence for people that explains why an answer was refused."""
    if answer_result.outcome == Outcome.EXPIRED:
        return pgettext("hitl", "This question expired before your answer arrived.")
    if answer_result.outcome == Outcome.CLAIMED:
        return claimed_words(answer_result.by)
    if answer_result.status == Interaction.Status.CANCELLED:
        return pgettext("hitl", "The run ended before your answer arrived.")
    if answer_result.status == Interaction.Status.ANSWERED:
        by = answer_result.by or pgettext("hitl", "someone")
        return pgettext("hitl", "%(who)s already answered this question.") % {"who": by}
    return str(NOT_WAITING)


def claimed_words(name: str | None) -> str:
    """Return the sentence which tells that a person has claimed the question."""
    return pgettext("hitl", "%(who)s has claimed this question.") % {"who": name}


def claim_refusal(claim_state: ClaimState, username: str) -> str:
    """Return a sentence for people that explains why a claim was refused; "" if it was not."""
    if claim_state.outcome == "stale":
        return str(NOT_WAITING)
    if not claim_state.changed and claim_state.assignee not in (None, username):
        return claimed_words(claim_state.assignee)
    return ""


def late_reason(answer_result: AnswerResult) -> str:
    """Return a sentence for programs, in English, that explains why an answer was refused."""
    by, response = called(answer_result.by), answer_result.response or {}
    if answer_result.outcome == Outcome.NOT_FOUND:
        return "There is no question that waits for this answer."
    if answer_result.outcome == Outcome.CLAIMED:
        return f"{by} has claimed this question."
    answer = response.get("value") or response.get("values")
    reason = {
        Interaction.Status.PENDING: "the question is another now",
        Interaction.Status.ANSWERED: f"{by} has answered already ({answer})",
        Interaction.Status.EXPIRED: "the time for an answer was over",
        Interaction.Status.CANCELLED: "the question was withdrawn",
    }[Interaction.Status(answer_result.status)]
    return f"The answer came too late: {reason}."

"""A question for one reader: its text and candidates, its state, and the reader's rights."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from typing import Self
from uuid import UUID

from django.db.models import Count
from django.utils.translation import pgettext

from sessions_app.interactions.audit import first_line
from sessions_app.interactions.votes import counting_votes
from sessions_app.json_types import JsonObject
from sessions_app.models import Candidate, Interaction, Vote
from sessions_app.models.people import UserId, full_name
from sessions_app.prompts import AnyPrompt, load_prompt, question_title
from sessions_app.prompts.assignment import StoredAssignment, assignment_of
from sessions_app.questions.outcomes import OutcomeText, outcome
from sessions_app.storage import clock
from sessions_app.workflows import registry


class QuestionState(StrEnum):
    """The state of a question, as seen by its reader."""

    PENDING = "pending"  # open, and nobody has claimed it
    MINE = "mine"  # the reader has claimed it
    TAKEN = "taken"  # another person has claimed it
    VOTED = "voted"  # the reader has voted; others must, too
    ANSWERED = "answered"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class CastVote:
    """A vote as shown to people: the voter's name, and the answer in words."""

    by: str
    answer: str


class ReadTogether:
    """A cache for several questions: related rows are read for all on first use, which blocks."""

    def __init__(self, interactions: Sequence[Interaction]) -> None:
        self._interactions = interactions

    @cached_property
    def votes(self) -> dict[UUID, list[Vote]]:
        """The valid votes by question, for questions that need several votes."""
        return counting_votes(self._interactions)

    @cached_property
    def of_one(self) -> Collection[UUID]:
        """The questions that exactly one user was asked, and that were not handed on since."""
        ids = {row.pk for row in self._interactions if _names_one_user(assignment_of(row))}
        if not ids:
            return ids
        candidates = Candidate.objects.filter(interaction__in=ids).values("interaction")
        shared = candidates.annotate(count=Count("pk")).filter(count__gt=1)
        return ids.difference(shared.values_list("interaction", flat=True))


def _names_one_user(assignment: StoredAssignment | None) -> bool:
    return assignment is not None and [asked.kind for asked in assignment.to] == ["user"]


@dataclass(frozen=True)
class QuestionView:
    """A question for one reader; without a reader, only the parts that are the same for all.

    `may_answer` is the reader's right to answer now, ignoring claims. The votes of others are shown
    only to voters, and after the settlement, so that each person decides alone.
    """

    interaction: Interaction
    reader: UserId | None
    may_answer: bool
    beside: ReadTogether

    @classmethod
    def of(
        cls, interaction: Interaction, reader: UserId | None = None, *, may_answer: bool = False
    ) -> Self:
        """Return the view of one question."""
        [view] = cls.of_all([interaction], reader, may_answer=may_answer)
        return view

    @classmethod
    def of_all(
        cls,
        interactions: Iterable[Interaction],
        reader: UserId | None = None,
        *,
        may_answer: bool = False,
    ) -> list[Self]:
        """Return the views of questions, in their order."""
        rows = list(interactions)
        beside = ReadTogether(rows)
        return [cls(interaction, reader, may_answer, beside) for interaction in rows]

    # The properties below describe the text of the question.

    @cached_property
    def prompt(self) -> AnyPrompt:
        """The prompt; a MissingPrompt if its class is gone."""
        return load_prompt(self.interaction.prompt)

    @property
    def title(self) -> str:
        """The question on one line, for a list."""
        return question_title(self.interaction.prompt)

    @property
    def short_title(self) -> str:
        """The beginning of the question's line, for narrow places."""
        return first_line(self.interaction.prompt)

    @property
    def text(self) -> str:
        """The whole text as stored, for programs."""
        return str(self.interaction.prompt.get("text", ""))

    @property
    def shown_text(self) -> str:
        """The whole text for people, with the title of a tool call in the reader's language."""
        return self.prompt.shown_text

    @property
    def more(self) -> str:
        """The text below the first line."""
        return self.text.strip().partition("\n")[2].strip("\n")

    def answer_text(self, response: JsonObject | None) -> str:
        """Return an answer to the question in words; empty for None."""
        return self.prompt.answer_text(response) if response else ""

    # The properties below describe the conversation's owner and the people who may answer.

    @property
    def owner(self) -> str:
        """The user name of the conversation's owner."""
        return str(self.interaction.conversation.owner.get_username())

    @property
    def workflow(self) -> str:
        """The title of the workflow that asks."""
        return registry.title_of(self.interaction.run.workflow)

    @property
    def is_own(self) -> bool:
        """True if the reader owns the conversation."""
        return bool(self.interaction.conversation.owner_id == self.reader)

    @property
    def asker(self) -> str:
        """The name of the conversation's owner; for the owner, the workflow's title."""
        return self.workflow if self.is_own else self.owner

    @cached_property
    def assignment(self) -> StoredAssignment | None:
        """The candidates and rules of the question; None if only the owner may answer."""
        return assignment_of(self.interaction)

    @property
    def rules(self) -> StoredAssignment:
        """The assignment, or the default rules without one."""
        return self.assignment or StoredAssignment()

    @property
    def to(self) -> Sequence[str]:
        """The names of the candidates; empty if only the owner may answer."""
        return self.rules.names

    @property
    def names(self) -> str:
        """The names of the candidates on one line."""
        return ", ".join(self.to)

    @property
    def waits_for(self) -> str:
        """The candidates or the claimant in words; empty if only the owner may answer."""
        if self.assignment is None:
            return ""
        if self.assignee is not None:
            return pgettext("hitl", "Claimed by %(name)s") % {"name": self.assignee}
        return waiting_for(self.to)

    # The properties below describe the state of the question.

    @property
    def assignee(self) -> str | None:
        """The user name of the claimant."""
        assignee = self.interaction.assignee
        return str(assignee.get_username()) if assignee is not None else None

    @property
    def is_pending(self) -> bool:
        """True while the question waits for an answer."""
        return self.interaction.status == Interaction.Status.PENDING

    @property
    def is_mine(self) -> bool:
        """True if the reader has claimed the question."""
        return self.interaction.assignee_id is not None and not self.is_taken

    @property
    def is_taken(self) -> bool:
        """True if another person has claimed the question."""
        return self.interaction.assignee_id not in (None, self.reader)

    @property
    def state(self) -> QuestionState:
        """The state of the question, as seen by the reader."""
        if not self.is_pending:
            return QuestionState(self.interaction.status)
        if self.interaction.assignee_id is not None:
            return QuestionState.TAKEN if self.is_taken else QuestionState.MINE
        return QuestionState.VOTED if self.my_vote else QuestionState.PENDING

    @cached_property
    def outcome(self) -> OutcomeText | None:
        """The outcome in words; None while the question is pending."""
        return outcome(self.interaction, self.prompt)

    @property
    def answered_by(self) -> str | None:
        """The user name of the answerer."""
        person = self.interaction.answered_by
        return str(person.get_username()) if person is not None else None

    @property
    def deadline(self) -> datetime | None:
        """The time when the question is due, or else expires."""
        return self.interaction.due_at or self.interaction.expires_at

    @property
    def is_late(self) -> bool:
        """True if the due time has passed."""
        due = self.interaction.due_at
        return due is not None and due <= clock.now()

    @property
    def default(self) -> str:
        """The prompt's default answer at the deadline, in words; empty if there is none."""
        return self.answer_text(self.prompt.default_answer())

    @property
    def default_decision(self) -> str:
        """The default answer as a decision: `approve` or `reject`; else empty."""
        default = self.prompt.default_answer()
        return self.prompt.decision(default) if default else ""

    # The properties below describe the votes of people who must agree on one answer.

    @property
    def needed_votes(self) -> int:
        """The number of people needed for the same answer."""
        return self.rules.votes

    @property
    def _votes(self) -> Sequence[Vote]:
        return self.beside.votes.get(self.interaction.pk, ())

    @property
    def vote_count(self) -> int:
        """The number of valid votes; once settled, of the votes stored with the answer."""
        response = self.interaction.response or {}
        return len(response.get("votes", self._votes))

    @property
    def my_vote(self) -> str:
        """The reader's vote in words."""
        mine = (vote.response for vote in self._votes if vote.by_id == self.reader)
        return self.answer_text(next(mine, None))

    @property
    def votes(self) -> list[CastVote]:
        """The votes that this reader may see."""
        shown_votes = self._votes if self.my_vote or not self.is_pending else ()
        return [
            CastVote(full_name(vote.by), self.answer_text(vote.response)) for vote in shown_votes
        ]

    # The properties below describe what the reader may do.

    @property
    def can_answer(self) -> bool:
        """True if the reader may answer, or vote, now."""
        return self.may_answer and self.is_pending and not self.is_taken

    @property
    def can_change(self) -> bool:
        """True if the reader may claim, release or hand on the question."""
        return self.can_answer and self.assignment is not None

    @property
    def can_claim(self) -> bool:
        """True if the reader has not voted, and a claim would keep others from answering."""
        has_to_answer = self.can_change and self.state == QuestionState.PENDING
        return has_to_answer and self.interaction.pk not in self.beside.of_one


def waiting_for(names: Iterable[str]) -> str:
    """Return the sentence which tells that a question waits for these people."""
    return pgettext("hitl", "Waiting for %(names)s") % {"names": ", ".join(names)}

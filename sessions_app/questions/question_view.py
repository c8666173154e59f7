"""A question for one reader: what is asked of whom, how it stands, and what this reader may do."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from typing import Self
from uuid import UUID

from django.db.models import Count
from django.utils import timezone
from django.utils.translation import gettext

from sessions_app.interactions.audit import first_line
from sessions_app.interactions.votes import counting_votes
from sessions_app.json_types import JsonObject
from sessions_app.models import Candidate, Interaction, Vote
from sessions_app.models.people import UserId, full_name
from sessions_app.prompts import AnyPrompt, load_prompt, question_title
from sessions_app.prompts.assignment import StoredAssignment, assignment_of
from sessions_app.questions.outcomes import OutcomeText, outcome
from sessions_app.workflows import registry


class State(StrEnum):
    """The state of a question, for its reader."""

    PENDING = "pending"  # nobody has claimed it
    MINE = "mine"  # the reader has claimed it
    TAKEN = "taken"  # somebody else has
    VOTED = "voted"  # the reader has voted, and it needs more votes
    ANSWERED = "answered"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class CastVote:
    """A vote in words."""

    by: str
    answer: str


class ReadTogether:
    """The rows beside several questions. They are read for all at once, when they are first
    needed, which blocks.
    """

    def __init__(self, interactions: Sequence[Interaction]) -> None:
        self._interactions = interactions

    @cached_property
    def votes(self) -> dict[UUID, list[Vote]]:
        """The votes that count, of those questions that need several."""
        return counting_votes(self._interactions)

    @cached_property
    def of_one(self) -> Collection[UUID]:
        """The questions that were asked of one person, and that nobody has handed on to others."""
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
    """A question for a reader; without one it has what is the same for all.

    `may_answer` is as things are now, whoever has claimed it. What others voted is told to who has
    voted, and when it is over: so that each decides alone.
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

    # What is asked.

    @cached_property
    def prompt(self) -> AnyPrompt:
        """The prompt; a stand-in where its class is gone."""
        return load_prompt(self.interaction.prompt)

    @property
    def title(self) -> str:
        """The question in a line, for a list."""
        return question_title(self.interaction.prompt)

    @property
    def short_title(self) -> str:
        """The beginning of that line, where a short one is wanted."""
        return first_line(self.interaction.prompt)

    @property
    def text(self) -> str:
        """The whole text."""
        return str(self.interaction.prompt.get("text", ""))

    @property
    def more(self) -> str:
        """The text below the first line."""
        return self.text.strip().partition("\n")[2].strip("\n")

    def answer_text(self, response: JsonObject | None) -> str:
        """Return an answer to it in words; empty where there is none."""
        return self.prompt.answer_text(response) if response else ""

    # Who asks, and whom.

    @property
    def owner(self) -> str:
        """The user name of the conversation's owner."""
        return str(self.interaction.conversation.owner.get_username())

    @property
    def workflow(self) -> str:
        """The title of the workflow that asks."""
        name = self.interaction.run.workflow
        offer = registry.find(name)
        return offer.workflow.title if offer else name

    @property
    def is_own(self) -> bool:
        """True if it is of a conversation of the reader's."""
        return bool(self.interaction.conversation.owner_id == self.reader)

    @property
    def asker(self) -> str:
        """The name of the owner, who asks; of the workflow in the reader's own conversations."""
        return self.workflow if self.is_own else self.owner

    @cached_property
    def assignment(self) -> StoredAssignment | None:
        """The people it is for, and the rules; None where it is its owner's alone."""
        return assignment_of(self.interaction)

    @property
    def rules(self) -> StoredAssignment:
        """The assignment, or the rules of what has none."""
        return self.assignment or StoredAssignment()

    @property
    def to(self) -> Sequence[str]:
        """The names of its candidates; none where it is its owner's alone."""
        return self.rules.names

    @property
    def names(self) -> str:
        """The names of its candidates in a line."""
        return ", ".join(self.to)

    @property
    def waits_for(self) -> str:
        """The candidates in words, or who is on it; empty where it is its owner's alone."""
        if self.assignment is None:
            return ""
        if self.assignee is not None:
            return gettext("%(name)s is on it") % {"name": self.assignee}
        return waiting_for(self.to)

    # How it stands.

    @property
    def assignee(self) -> str | None:
        """The user name of who has claimed it."""
        assignee = self.interaction.assignee
        return str(assignee.get_username()) if assignee is not None else None

    @property
    def is_pending(self) -> bool:
        """True while it waits."""
        return self.interaction.status == Interaction.Status.PENDING

    @property
    def is_mine(self) -> bool:
        """True if the reader has claimed it."""
        return self.interaction.assignee_id is not None and not self.is_taken

    @property
    def is_taken(self) -> bool:
        """True if somebody else has claimed it."""
        return self.interaction.assignee_id not in (None, self.reader)

    @property
    def state(self) -> State:
        """The state for the reader."""
        if not self.is_pending:
            return State(self.interaction.status)
        if self.interaction.assignee_id is not None:
            return State.TAKEN if self.is_taken else State.MINE
        return State.VOTED if self.my_vote else State.PENDING

    @cached_property
    def outcome(self) -> OutcomeText | None:
        """The outcome in words; None while it waits."""
        return outcome(self.interaction, self.prompt)

    @property
    def answered_by(self) -> str | None:
        """The user name of who answered it."""
        person = self.interaction.answered_by
        return str(person.get_username()) if person is not None else None

    @property
    def deadline(self) -> datetime | None:
        """The time when it should be answered, or else has to be."""
        return self.interaction.due_at or self.interaction.expires_at

    @property
    def is_late(self) -> bool:
        """True if it was due before now."""
        due = self.interaction.due_at
        return due is not None and due <= timezone.now()

    @property
    def default(self) -> str:
        """The answer with which the run goes on at the deadline, in words; empty if it does not."""
        return self.answer_text(self.prompt.default_answer())

    # Its votes.

    @property
    def needed_votes(self) -> int:
        """The number of people who must give the same answer."""
        return self.rules.votes

    @property
    def _votes(self) -> Sequence[Vote]:
        return self.beside.votes.get(self.interaction.pk, ())

    @property
    def vote_count(self) -> int:
        """The number of votes that count, or that decided it."""
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

    # What the reader may do.

    @property
    def can_answer(self) -> bool:
        """True if the reader may answer it now, or vote."""
        return self.may_answer and self.is_pending and not self.is_taken

    @property
    def can_change(self) -> bool:
        """True if the reader may claim, release or reassign it."""
        return self.can_answer and self.assignment is not None

    @property
    def can_claim(self) -> bool:
        """True if there are others who could answer; who has voted leaves it to them."""
        has_to_answer = self.can_change and self.state == State.PENDING
        return has_to_answer and self.interaction.pk not in self.beside.of_one


def waiting_for(names: Iterable[str]) -> str:
    """Say that a question waits for people of these names."""
    return gettext("Waiting for %(names)s") % {"names": ", ".join(names)}

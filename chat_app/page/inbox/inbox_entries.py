"""Prompts for readers who do not have the conversation before them, and the page of one."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b
from itertools import starmap
from uuid import UUID

from django.db.models import Count
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from chat_app.inbox.inbox_parts import find_prompt
from chat_app.inbox.inbox_query import on_card
from chat_app.page.cards import Card, TypedAnswer, card
from chat_app.page.markdown.markdown import render
from chat_app.run_transcript import TranscriptPart, in_words, read_shared
from sessions_app.interactions.outcome_texts import OutcomeText, outcome, via_words, waits_for
from sessions_app.interactions.votes import counting_votes
from sessions_app.json_types import JsonObject
from sessions_app.models import AuditEntry, Candidate, Interaction, Vote
from sessions_app.models.people import UserId
from sessions_app.prompts import load_prompt, type_of
from sessions_app.settings import RuntimeSettings
from sessions_app.storage.sql import is_uuid
from sessions_app.workflows import registry

MOST_SHOWN = 100  # of what happened, the newest

Action = AuditEntry.Action
WORDS: dict[str, str | Promise] = {
    Action.OPENED: _("Asked"),
    Action.SHOWN: _("Shown"),
    Action.CLAIMED: _("Claimed"),
    Action.RELEASED: _("Released"),
    Action.DELEGATED: _("Reassigned"),
    Action.REASSIGNED: _("Reassigned to others"),
    Action.ESCALATED: _("Escalated"),
    Action.VOTED: _("Voted"),
    Action.ANSWERED: _("Answered"),
    Action.EXPIRED: _("Expired"),
    Action.CANCELLED: _("Cancelled"),
}


@dataclass(frozen=True, slots=True)
class CastVote:
    """A vote in words."""

    by: str
    answer: str


@dataclass(frozen=True, slots=True)
class Entry:
    """A prompt for a reader. `may_answer` is as things are now, whoever has claimed it.

    What others voted is told to who has voted, and when it is over: so that each decides alone.
    `is_of_one`: it was asked of one person, and nobody has handed it on to others.
    """

    interaction: Interaction
    reader: UserId
    workflow: str
    may_answer: bool
    card: Card | None
    outcome: OutcomeText | None
    votes: Sequence[CastVote]
    vote_count: int
    needed_votes: int
    my_vote: str
    is_of_one: bool
    # Set where one answer can be for several: what all of these have, and those with its question.
    answers_key: str = ""
    question_key: str = ""

    @property
    def is_own(self) -> bool:
        """True if it is of a conversation of the reader's."""
        return bool(self.interaction.conversation.owner_id == self.reader)

    @property
    def is_mine(self) -> bool:
        """True if the reader has claimed it."""
        return bool(self.interaction.assignee_id == self.reader)

    @property
    def is_taken(self) -> bool:
        """True if somebody else has claimed it."""
        return self.interaction.assignee_id is not None and not self.is_mine

    @property
    def can_change(self) -> bool:
        """True if the reader may claim, release or reassign it."""
        return (
            self.outcome is None
            and self.may_answer
            and self.interaction.assignment is not None
            and not self.is_taken
        )

    @property
    def can_claim(self) -> bool:
        """True if there are others who could answer; who has voted leaves it to them."""
        has_to_answer = self.can_change and not self.is_mine and not self.my_vote
        return has_to_answer and not self.is_of_one

    @property
    def waits_for(self) -> str:
        """The people it waits for, in words."""
        return waits_for(self.interaction) if self.interaction.assignment else ""

    @property
    def names(self) -> str:
        """The names of its candidates."""
        return ", ".join((self.interaction.assignment or {}).get("names", ()))

    @property
    def question(self) -> str:
        """The first line of its question, or the title of its card, where that has several."""
        if self.card and self.card.parts:
            return self.card.question
        prompt = self.interaction.prompt
        return type_of(prompt["input_type"]).title(prompt)

    @property
    def more(self) -> str:
        """The text below the first line."""
        return str(self.interaction.prompt["text"]).strip().partition("\n")[2].strip("\n")

    @property
    def is_late(self) -> bool:
        """True if it was due before now."""
        due = self.interaction.due_at
        return due is not None and due <= timezone.now()

    @property
    def stamp(self) -> str:
        """Return a digest of what is shown: the page's script sees by it that something changed."""
        interaction = self.interaction
        return digest(
            *(interaction.status, interaction.version, interaction.assignee_id),
            *(self.names, self.vote_count, self.may_answer),
            [part.interaction for part in self.card.parts] if self.card else [],
            *(self.my_vote, self.question_key),
        )


def digest(*parts: object) -> str:
    """Return a short digest of what the parts say of themselves."""
    return blake2b(repr(parts).encode(), digest_size=8).hexdigest()


def _read_prompts_of_one(prompts: Sequence[Interaction]) -> set[UUID]:
    ids = [
        prompt.pk
        for prompt in prompts
        if [to["kind"] for to in (prompt.assignment or {}).get("to", ())] == ["user"]
    ]
    if not ids:
        return set()
    candidates = Candidate.objects.filter(interaction__in=ids).values("interaction")
    shared_ids = candidates.annotate(count=Count("pk")).filter(count__gt=1)
    return set(ids).difference(shared_ids.values_list("interaction", flat=True))


def make_entries(
    prompts: Sequence[Interaction],
    reader: UserId,
    *,
    may_answer: bool = True,
    typed_answer: TypedAnswer | None = None,
) -> list[Entry]:
    """Build the entries of prompts, in their order. Blocks: call it in a thread."""
    votes, prompts_of_one = counting_votes(prompts), _read_prompts_of_one(prompts)
    return [
        _entry(
            prompt,
            reader,
            votes.get(prompt.pk, []),
            may_answer,
            typed_answer,
            is_of_one=prompt.pk in prompts_of_one,
        )
        for prompt in prompts
    ]


def _entry(
    interaction: Interaction,
    reader: UserId,
    votes: Sequence[Vote],
    may_answer: bool,
    typed_answer: TypedAnswer | None,
    *,
    is_of_one: bool,
) -> Entry:
    prompt, outcome_text = load_prompt(interaction.prompt), outcome(interaction)
    my_votes = [prompt.answer_text(vote.response) for vote in votes if vote.by_id == reader]
    is_taken = interaction.assignee_id not in (None, reader)
    open_card = None
    if outcome_text is None and may_answer and not is_taken:
        prompts = on_card(interaction)
        alone = len(prompts) == 1
        open_card = card(*prompts, typed_answer=typed_answer, alone=alone)
    shown_votes = votes if my_votes or outcome_text else ()
    offer = registry.find(interaction.run.workflow)
    return Entry(
        interaction=interaction,
        reader=reader,
        workflow=offer.workflow.title if offer else interaction.run.workflow,
        may_answer=may_answer,
        card=open_card,
        outcome=outcome_text,
        votes=[
            CastVote(vote.by.get_username(), prompt.answer_text(vote.response))
            for vote in shown_votes
        ],
        vote_count=len(votes),
        needed_votes=(interaction.assignment or {}).get("votes", 1),
        my_vote=my_votes[0] if my_votes else "",
        is_of_one=is_of_one,
    )


@dataclass(frozen=True, slots=True)
class PromptHistoryEntry:
    """Something that happened to the prompt, in words."""

    words: str
    by: str
    to: str
    via: str
    at: datetime
    note: str


@dataclass(frozen=True, slots=True)
class SharedMessage:
    """A message of its conversation, with the names of its files, and what was said then."""

    message: str
    files: str
    at: datetime
    reply: SafeString


@dataclass(frozen=True, slots=True)
class PromptPage:
    """A prompt, with what happened to it where that is kept: those of its owner alone have none.

    `shared_messages` is its conversation, where its workflow shares that with the reader.
    """

    entry: Entry
    history: Sequence[PromptHistoryEntry]
    shared_messages: Sequence[SharedMessage]


def read_prompt(
    reader: UserId, interaction: UUID, typed_answer: TypedAnswer | None = None
) -> PromptPage | None:
    """Read the page of a prompt; None if there is none for this reader. Blocks."""
    prompt_and_right = find_prompt(reader, interaction)
    if prompt_and_right is None:
        return None
    prompt, may = prompt_and_right
    [entry] = make_entries([prompt], reader, may_answer=may, typed_answer=typed_answer)
    if prompt.assignment is None:
        return PromptPage(entry, [], [])
    shared_runs = read_shared(prompt) if may and not entry.is_own else []
    shared_messages = list(starmap(_shared_message, enumerate(shared_runs)))
    # The notes beside votes are hidden as these are, so that each decides alone.
    history = _history(prompt, shows_votes=bool(entry.my_vote or entry.outcome))
    return PromptPage(entry, history, shared_messages)


def is_of_one_card(interaction: UUID, names: Collection[str]) -> bool:
    """Return whether the prompts of these ids were asked on one card with this one. Blocks."""
    ids = {interaction, *(UUID(name) for name in names if is_uuid(name))}
    prompts = Interaction.objects.filter(pk__in=ids, prompt__together__isnull=False)
    cards = [
        (run, prompt["together"]["first"]) for run, prompt in prompts.values_list("run", "prompt")
    ]
    return len(set(cards)) == 1 and len(cards) == len(ids) == len({str(interaction), *names})


def _shared_message(number: int, run: TranscriptPart) -> SharedMessage:
    reply = "\n\n".join(map(in_words, run["said"]))[: RuntimeSettings.load().MAX_SHOWN]
    return SharedMessage(
        message=run["message"],
        files=", ".join(file["name"] for file in run["files"]),
        at=datetime.fromisoformat(run["created_at"]),
        reply=render(reply, place=f"s{number}"),
    )


def _history(prompt: Interaction, *, shows_votes: bool) -> list[PromptHistoryEntry]:
    newest = AuditEntry.objects.filter(interaction=prompt.pk).order_by("-at", "-pk")[:MOST_SHOWN]
    return [
        PromptHistoryEntry(
            words=str(WORDS[entry.action]),
            by=entry.by_name,
            to=", ".join(entry.detail.get("to") or ())
            if entry.action in AuditEntry.HANDED_ON
            else "",
            via=via_words(entry.via),
            at=entry.at,
            note=_note(entry.detail) if shows_votes or entry.action != Action.VOTED else "",
        )
        for entry in reversed(newest)
    ]


def _note(detail: JsonObject) -> str:
    return str(detail.get("note") or (detail.get("response") or {}).get("note", ""))

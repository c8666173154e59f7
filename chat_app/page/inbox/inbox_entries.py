"""Prompts for readers outside the conversation, in lists and on a page of their own."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import blake2b
from itertools import islice, starmap
from uuid import UUID

from django.utils.functional import Promise
from django.utils.safestring import SafeString
from django.utils.translation import pgettext_lazy

from chat_app.inbox.inbox_parts import find_prompt
from chat_app.inbox.inbox_query import on_card
from chat_app.page.cards import Card, TypedAnswer, card
from chat_app.page.markdown.markdown import render
from chat_app.run_transcript import TranscriptPart, in_words, read_shared
from sessions_app.json_types import JsonObject
from sessions_app.models import AuditEntry, Interaction
from sessions_app.models.people import UserId
from sessions_app.prompts.details import line
from sessions_app.questions.outcomes import MAX_LINE_LENGTH, via_words
from sessions_app.questions.question_view import QuestionView
from sessions_app.settings import RuntimeSettings
from sessions_app.storage.sql import is_uuid

MOST_SHOWN = 100  # number of a prompt's newest history entries that are shown

Action = AuditEntry.Action
WORDS: dict[str, str | Promise] = {
    Action.OPENED: pgettext_lazy("hitl", "Asked"),
    Action.SHOWN: pgettext_lazy("hitl", "Delivered"),
    Action.CLAIMED: pgettext_lazy("hitl", "Claimed"),
    Action.RELEASED: pgettext_lazy("hitl", "Released"),
    Action.DELEGATED: pgettext_lazy("hitl", "Reassigned"),
    Action.REASSIGNED: pgettext_lazy("hitl", "Reassigned to others"),
    Action.ESCALATED: pgettext_lazy("hitl", "Escalated"),
    Action.VOTED: pgettext_lazy("hitl", "Voted"),
    Action.ANSWERED: pgettext_lazy("hitl", "Answered"),
    Action.EXPIRED: pgettext_lazy("hitl", "Expired"),
    Action.CANCELLED: pgettext_lazy("hitl", "Cancelled"),
}


@dataclass(frozen=True)
class InboxEntry(QuestionView):
    """A prompt in a list; `card` is set if the reader may answer the prompt now."""

    card: Card | None = None
    # Prompts with equal `answers_key` can be settled by one answer; prompts with equal
    # `question_key` ask the same question. Both keys are empty for a prompt that is answered alone.
    answers_key: str = ""
    question_key: str = ""

    @property
    def question(self) -> str:
        """The first line of the question, or the title of a card with several questions."""
        return self.card.question if self.card and self.card.parts else self.title

    @property
    def first_details(self) -> list[tuple[str, str]]:
        """The first two details of the decision, or arguments of the call, each in one line."""
        prompt = self.interaction.prompt
        details = prompt.get("details") or prompt.get("arguments") or {}
        first_rows = islice(details.items(), 2)
        return [
            (name, " ".join(line(value).split())[:MAX_LINE_LENGTH]) for name, value in first_rows
        ]

    @property
    def stamp(self) -> str:
        """Return a digest of the shown entry, by which the page's script detects changes."""
        interaction = self.interaction
        return digest(
            *(interaction.status, interaction.version, interaction.assignee_id),
            *(self.names, self.vote_count, self.may_answer),
            [part.interaction for part in self.card.parts] if self.card else [],
            *(self.my_vote, self.question_key),
        )


def digest(*parts: object) -> str:
    """Return a short digest of the `repr` of the parts."""
    return blake2b(repr(parts).encode(), digest_size=8).hexdigest()


def make_entries(
    prompts: Sequence[Interaction],
    reader: UserId,
    *,
    may_answer: bool = True,
    typed_answer: TypedAnswer | None = None,
) -> list[InboxEntry]:
    """Build list entries for prompts, in the order of the prompts. Blocks: call it in a thread."""
    return [
        replace(entry, card=_card(entry, typed_answer))
        for entry in InboxEntry.of_all(prompts, reader, may_answer=may_answer)
    ]


def _card(entry: InboxEntry, typed_answer: TypedAnswer | None) -> Card | None:
    if not entry.can_answer:
        return None
    prompts = on_card(entry.interaction)
    return card(*prompts, typed_answer=typed_answer, is_single=len(prompts) == 1)


@dataclass(frozen=True, slots=True)
class PromptHistoryEntry:
    """An entry of a prompt's history, in words."""

    words: str
    by: str
    to: str
    via: str
    at: datetime
    note: str


@dataclass(frozen=True, slots=True)
class SharedExchange:
    """A message of the prompt's conversation, with file names and the replies."""

    message: str
    files: str
    at: datetime
    reply: SafeString


@dataclass(frozen=True, slots=True)
class PromptPage:
    """A prompt with its history. Prompts that only the owner answers have no history.

    `shared_messages` is the conversation, if the workflow shares the conversation with the reader.
    """

    entry: InboxEntry
    history: Sequence[PromptHistoryEntry]
    shared_messages: Sequence[SharedExchange]


def read_prompt(
    reader: UserId, interaction: UUID, typed_answer: TypedAnswer | None = None
) -> PromptPage | None:
    """Read the page of a prompt; None if this reader may not see the prompt. Blocks."""
    prompt_and_right = find_prompt(reader, interaction)
    if prompt_and_right is None:
        return None
    prompt, may = prompt_and_right
    [entry] = make_entries([prompt], reader, may_answer=may, typed_answer=typed_answer)
    if entry.assignment is None:
        return PromptPage(entry, [], [])
    shared_runs = read_shared(prompt) if may and not entry.is_own else []
    shared_messages = list(starmap(_shared_message, enumerate(shared_runs)))
    # Votes and their notes stay hidden until the reader has voted or the prompt is settled, so that
    # everybody decides alone.
    history = _history(prompt, shows_votes=bool(entry.my_vote or entry.outcome))
    return PromptPage(entry, history, shared_messages)


def is_of_one_card(interaction: UUID, names: Collection[str]) -> bool:
    """Return whether the prompts of these ids share one card with this prompt. Blocks."""
    ids = {interaction, *(UUID(name) for name in names if is_uuid(name))}
    prompts = Interaction.objects.filter(pk__in=ids, prompt__together__isnull=False)
    cards = [
        (run, prompt["together"]["first"]) for run, prompt in prompts.values_list("run", "prompt")
    ]
    return len(set(cards)) == 1 and len(cards) == len(ids) == len({str(interaction), *names})


def _shared_message(number: int, run: TranscriptPart) -> SharedExchange:
    reply = "\n\n".join(map(in_words, run["said"]))[: RuntimeSettings.load().MAX_SHOWN]
    return SharedExchange(
        message=run["message"],
        files=", ".join(file["name"] for file in run["files"]),
        at=datetime.fromisoformat(run["created_at"]),
        reply=render(reply, id_prefix=f"s{number}"),
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

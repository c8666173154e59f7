"""The grouping of prompts that one answer can settle, and of prompts with the same question."""

import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple
from uuid import NAMESPACE_URL, UUID, uuid5

from django.contrib.auth import get_user_model
from django.db.models import Q

from chat_app.inbox.inbox_parts import MOST_SEARCHED, RELATED_ROWS, InboxPartQuery, find_ids
from chat_app.page.cards import Card
from chat_app.page.inbox.inbox_entries import InboxEntry, digest
from sessions_app.json_types import JsonObject
from sessions_app.models import Interaction
from sessions_app.models.people import UserId
from sessions_app.prompts import question_title, type_of

MOST_ALIKE = 500  # maximum number of prompts that are compared, or answered by one form
# Numbers and quotations: questions that differ only in these count as the same question.
VARIABLE = r'\d[\d.,:/%-]*|"[^"]*"|“[^”]*”|„[^“”]*[“”]|«[^»]*»'


class PromptKind(NamedTuple):
    """A kind of prompts. One answer can settle all prompts with equal `answers`.

    Prompts with equal `question` also ask the same question, which `words` contains.
    """

    answers: str
    question: str
    words: str


def kind_of(workflow: str, prompt: JsonObject, asker: str) -> PromptKind | None:
    """Return the kind of a prompt; None if the prompt has to be answered alone."""
    if not type_of(prompt["input_type"]).alike or "together" in prompt:
        return None
    controls = {**prompt, "text": "", "details": None, "timeout": None}
    answers = digest(workflow, sorted(controls.items()))
    words = re.sub(rf"\b{re.escape(asker)}\b|{VARIABLE}", "…", question_title(prompt))
    words = re.sub(r"…(\s*…)+", "…", words)
    return PromptKind(answers, digest(answers, words), words)


@dataclass(frozen=True, slots=True)
class Group:
    """Entries of a page with the same question, or a single entry. `count`: total on all pages."""

    kind: PromptKind | None
    count: int
    entries: Sequence[InboxEntry]

    @property
    def words(self) -> str:
        """The question in the words that all entries share."""
        questions = {entry.question for entry in self.entries}
        if len(questions) == 1 and not self.more_count:
            return questions.pop()
        return self.kind.words if self.kind else ""

    @property
    def more_count(self) -> int:
        """The number of entries of this group on other pages."""
        return self.count - len(self.entries)


@dataclass(frozen=True, slots=True)
class Bar:
    """The controls of one answer for several prompts; `card` is the card of one of them."""

    key: str
    words: str
    card: Card


def group_alike(
    entries: Sequence[InboxEntry], reader: UserId, ids: Sequence[UUID]
) -> tuple[list[Group], list[Bar]]:
    """Group similar entries at the first of them; count similar prompts among all `ids`."""
    kinds = {entry.interaction.pk: _kind(entry) for entry in entries if entry.card}
    shown_ids = {entry.interaction.pk for entry in entries}
    rest = [id_ for id_ in ids if id_ not in shown_ids][:MOST_ALIKE]
    everywhere = [*kinds.values(), *(_read_kinds(rest, reader).values() if kinds else ())]
    counts = Counter(kind.question for kind in everywhere if kind)
    answer_counts = Counter(kind.answers for kind in everywhere if kind)
    groups: dict[object, list[InboxEntry]] = {}
    bars: dict[str, Bar] = {}
    for entry in entries:
        kind = kinds.get(entry.interaction.pk)
        if entry.card is None or kind is None or answer_counts[kind.answers] < 2:
            groups[entry.interaction.pk] = [entry]
            continue
        groups.setdefault(kind, []).append(
            replace(entry, answers_key=kind.answers, question_key=kind.question)
        )
        bars.setdefault(kind.answers, _bar(kind, entry.card))
    return [
        Group(key, counts[key.question], some)
        if isinstance(key, PromptKind)
        else Group(None, 1, some)
        for key, some in groups.items()
    ], list(bars.values())


def find_selected(
    reader: UserId, query: InboxPartQuery, ticked_ids: Collection[UUID], questions: Collection[str]
) -> list[Interaction]:
    """Return the waiting prompts that are ticked or ask one of the `questions`."""
    ids, _ = find_ids(reader, query, MOST_SEARCHED)
    kinds = _read_kinds(ids, reader) if questions else {}
    selected_ids = [
        id_
        for id_ in ids
        if id_ in ticked_ids or ((kind := kinds.get(id_)) and kind.question in questions)
    ][:MOST_ALIKE]
    prompts = Interaction.objects.select_related(*RELATED_ROWS).in_bulk(selected_ids)
    return [prompts[id_] for id_ in selected_ids if id_ in prompts]


def _read_kinds(ids: Sequence[UUID], reader: UserId) -> dict[UUID, PromptKind | None]:
    """Read the kinds of prompts that nobody else has claimed."""
    if not ids:
        return {}
    asker = f"conversation__owner__{get_user_model().USERNAME_FIELD}"
    free = Interaction.objects.filter(Q(assignee=None) | Q(assignee=reader), pk__in=ids)
    rows = free.values_list("pk", "run__workflow", "prompt", asker)
    return {pk: kind_of(*facts) for pk, *facts in rows}


def _kind(entry: InboxEntry) -> PromptKind | None:
    interaction = entry.interaction
    return kind_of(interaction.run.workflow, interaction.prompt, entry.owner)


def _bar(kind: PromptKind, card: Card) -> Bar:
    stand_in = Interaction(id=uuid5(NAMESPACE_URL, kind.answers), prompt=card.interaction.prompt)
    return Bar(kind.answers, kind.words, replace(card, interaction=stand_in, values=[], error=""))

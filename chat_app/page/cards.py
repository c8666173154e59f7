"""Prompt cards: what a pending question shows, and what stands in its fields."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.utils.translation import gettext

from chat_app.feed.selectors import pending_interactions
from sessions_app.conversations.outcome_texts import range_words
from sessions_app.models import Interaction
from sessions_app.workflows.prompts import AnyPrompt, load_prompt

SHOWN = 20


@dataclass(frozen=True, slots=True)
class TypedAnswer:
    """An answer that was refused: it goes back into the fields, with the reason."""

    interaction: UUID
    values: Sequence[str]
    error: str


@dataclass(frozen=True, slots=True)
class Card:
    """A pending question. `question` is its first line, `more` what follows.

    `details` are rows of name, value and whether the value has structure of its own. `values` are
    those of an answer that was refused, because of `error`.
    """

    interaction: Interaction
    question: str
    more: str
    prompt: AnyPrompt
    details: list[tuple[str, str, bool]]
    how_many: str
    values: Sequence[str]
    error: str


def cards(conversation: UUID, typed: TypedAnswer | None = None) -> list[Card]:
    """The conversation's pending questions, oldest first. Blocks: call it in a thread."""
    pending = pending_interactions(conversation_id=conversation).order_by("sequence")[:SHOWN]
    return [card(one, typed if typed and typed.interaction == one.id else None) for one in pending]


def card(interaction: Interaction, typed: TypedAnswer | None = None) -> Card:
    """The card of one question."""
    prompt = load_prompt(interaction.prompt)
    question, _, more = prompt.text.strip().partition("\n")
    if prompt.input_type == "oauth_consent":  # its text is the URL
        question = gettext("Sign in at %(host)s, then say so here.") % {"host": prompt.host}
    how_many = ""
    if prompt.input_type == "checkbox":
        how_many = range_words(prompt.min_selected, prompt.max_selected, len(prompt.options))
    return Card(
        interaction=interaction,
        question=question,
        more=more.strip("\n"),
        prompt=prompt,
        details=detail_rows(prompt.details),
        how_many=how_many,
        values=typed.values if typed else [],
        error=typed.error if typed else "",
    )


def detail_rows(details: Mapping[str, Any]) -> list[tuple[str, str, bool]]:
    """The prompt's details as rows: plain values as they are, others as JSON over several lines."""
    rows = []
    for name, value in details.items():
        nested = isinstance(value, (dict, list))
        plain = isinstance(value, str)
        text = (
            value if plain else json.dumps(value, indent=2 if nested else None, ensure_ascii=False)
        )
        rows.append((str(name), text, nested))
    return rows

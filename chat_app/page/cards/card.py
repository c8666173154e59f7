"""Prompt cards: what a pending question shows, and what stands in its fields."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from chat_app.page.cards.form import CardForm, TypedAnswer, make_form
from chat_app.page.cards.together import Part, group_of, make_parts
from sessions_app.interactions.outcome_texts import LINE
from sessions_app.models import Interaction
from sessions_app.prompts import AnyPrompt, load_prompt


@dataclass(frozen=True, slots=True)
class Card:
    """A pending question. `question` is its first line, `more` what follows.

    `default` is the answer with which the run goes on at the deadline, in words, if it does. It is
    the one of that `number` among `total` that are shown, from the oldest on.
    `values` are those of an answer that was refused, because of `error`.
    """

    interaction: Interaction
    question: str
    more: str
    prompt: AnyPrompt
    values: Sequence[str]
    error: str
    default: str
    number: int
    total: int
    form: CardForm | None = None
    # What is asked together with it, itself first; empty where it is asked alone.
    parts: Sequence[Part] = ()


def cards(pending: Sequence[Interaction], typed: TypedAnswer | None = None) -> list[Card]:
    """The cards of questions that wait: one for those that are asked together."""
    groups: dict[Any, list[Interaction]] = {}
    for one in pending:
        groups.setdefault(group_of(one), []).append(one)
    shown = list(groups.values())
    return [card(*group, typed=typed, place=(n, len(shown))) for n, group in enumerate(shown, 1)]


def card(
    interaction: Interaction,
    *others: Interaction,
    typed: TypedAnswer | None = None,
    place: tuple[int, int] = (1, 1),
    alone: bool = False,
) -> Card:
    """The card of one question, and of others that are asked together with it, unless it is to
    stand `alone`; `place` is its number, and of how many.
    """
    typed = typed if typed and typed.interaction == interaction.id else None
    prompt = load_prompt(interaction.prompt)
    if alone:
        prompt = prompt.model_copy(update={"together": None})
    question, more = prompt.question, prompt.text.strip().partition("\n")[2]
    default = prompt.default_answer()
    form: CardForm | None = None
    parts: Sequence[Part] = ()
    if prompt.together:
        parts, error = make_parts([interaction, *others], typed)
        question, more = prompt.together.title, ""
    else:
        form, error = make_form(interaction.id, prompt, typed)
    return Card(
        interaction=interaction,
        question=question,
        more=more.strip("\n"),
        prompt=prompt,
        values=typed.values if typed else [],
        error=error,
        default=prompt.answer_text(default)[:LINE] if default else "",
        number=place[0],
        total=place[1],
        form=form,
        parts=parts,
    )

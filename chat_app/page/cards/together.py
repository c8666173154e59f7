"""Questions that are asked together: one card has their fields, and one button."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import structlog
from django import forms
from django.db import DatabaseError
from django.utils.translation import gettext
from pydantic_core import from_json

from chat_app.page.cards.form import CardField, TypedAnswer, card_fields
from sessions_app.errors import Invalid
from sessions_app.models import Interaction
from sessions_app.prompts import PREFIX, AnyPrompt, as_posted, load_prompt

log = structlog.get_logger(__name__)
Data = Mapping[str, list[str]]


@dataclass(frozen=True, slots=True)
class Part:
    """One of the questions, with its fields: those of its form, or one for its value."""

    interaction: UUID
    question: str
    more: str
    prompt: AnyPrompt
    form: forms.BaseForm
    fields: Sequence[CardField]
    is_form: bool = False


def group_of(interaction: Interaction) -> Any:
    """The same for those that are asked together."""
    together = interaction.prompt.get("together")
    return (interaction.run_id, together["first"]) if together else interaction.pk


def make_parts(
    group: Sequence[Interaction], typed: TypedAnswer | None
) -> tuple[Sequence[Part], str]:
    """The parts, and what is wrong that is not said at their fields."""
    data = from_json(typed.values[0]) if typed else None
    try:
        parts = [_part(interaction, data) for interaction in group]
    except DatabaseError:
        raise
    except Exception:
        log.exception("form.not_shown", interaction=str(group[0].pk))
        return (), gettext(
            "This form cannot be shown at the moment. Those who run this site can see why."
        )
    return parts, typed.error if typed else ""


def _part(interaction: Interaction, data: Data | None) -> Part:
    key, prompt = str(interaction.pk), load_prompt(interaction.prompt)
    options: dict[str, Any] = {"auto_id": f"{key}-%s", "label_suffix": ""}
    question, _, more = prompt.text.strip().partition("\n")
    asked = (interaction.pk, question, more.strip("\n"), prompt)
    own = None if data is None else _within(data, f"{key}-")
    if form := prompt.make(own, prefix=f"{PREFIX}-{key}", **options):
        return Part(*asked, form, card_fields(prompt, form, f"{key}-"), is_form=True)
    form = _ValueForm(key, prompt, data=None if data is None else as_posted(data), **options)
    return Part(*asked, form, [CardField(form[key], "", is_changed=False, key=key)])


def _within(data: Data, start: str) -> dict[str, list[str]]:
    return {
        name.removeprefix(start): given for name, given in data.items() if name.startswith(start)
    }


class _ValueForm(forms.Form):
    """One field, which the prompt checks."""

    def __init__(self, key: str, prompt: AnyPrompt, **options: Any) -> None:
        super().__init__(prefix=PREFIX, **options)
        field = prompt.field()
        field.label = prompt.text.strip().partition("\n")[0]
        field.required = prompt.is_required
        field.widget.is_required = field.required
        self.fields[key] = field
        self._key, self._prompt = key, prompt

    def full_clean(self) -> None:
        """Have the prompt say what is wrong, as it does at every other door."""
        super().full_clean()
        if not self.is_bound:
            return
        self.errors.clear()
        name = self.add_prefix(self._key)
        try:
            self._prompt.check(None, self.data.getlist(name))  # type: ignore[attr-defined] # what is given is such a dict
        except Invalid as error:
            self.add_error(self._key, str(error))

"""Prompt cards: the display of pending questions, and the contents of their fields.

Questions that are asked together share one card with all fields and one button.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django import forms
from django.core.exceptions import NON_FIELD_ERRORS
from django.db import DatabaseError
from django.forms.boundfield import BoundField
from django.utils.translation import pgettext

from chat_app.page.card_templates import template_of
from sessions_app.errors import Invalid
from sessions_app.json_types import JsonObject
from sessions_app.logs import Log
from sessions_app.models import Interaction
from sessions_app.prompts import (
    MAX_NOTE,
    PREFIX,
    AnyPrompt,
    BinaryPrompt,
    PageAnswer,
    as_posted,
)
from sessions_app.questions.question_view import QuestionView

log = Log(__name__)
Data = Mapping[str, list[str]]
# The name of a note field is this prefix and the question's id.
NOTE = "note-"


@dataclass(frozen=True, slots=True)
class TypedAnswer:
    """A person's refused answer, with which the card is shown again, and the reason.

    `errors` are a form's errors by field. Files are lost: browsers do not refill file fields.
    """

    interaction: UUID
    answer: PageAnswer
    error: str
    errors: Mapping[str, Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CardField:
    """A field of a form, with its proposed value. `key` is the field's name in errors."""

    bound_field: BoundField
    proposal: str
    is_changed: bool
    key: str


@dataclass(frozen=True, slots=True)
class CardForm:
    """A Django form on a card, with the fields to show."""

    form: forms.BaseForm
    fields: Sequence[CardField]

    @property
    def arguments(self) -> Sequence[CardField]:
        """The fields of a tool call's arguments."""
        return self.fields[:-1]

    @property
    def note(self) -> Sequence[CardField]:
        """The field of the note about a tool call."""
        return self.fields[-1:]


@dataclass(frozen=True, slots=True)
class CardPart:
    """A question on a card, with the fields of its form, or one field for its value."""

    interaction: UUID
    question: str
    more: str
    prompt: AnyPrompt
    form: forms.BaseForm
    fields: Sequence[CardField]
    is_form: bool = False


@dataclass(frozen=True, slots=True)
class Card:
    """A pending question. `question` is the first line, `more` the remaining text.

    The card is number `number` of `total` on the page, counted from the top.
    `values` and `note` come from a refused answer, and `error` is the reason of the refusal.
    """

    interaction: Interaction
    question: str
    more: str
    prompt: AnyPrompt
    values: Sequence[str]
    error: str
    note: str = ""
    number: int = 1
    total: int = 1
    form: CardForm | None = None
    # All questions that were asked together, this one first; empty for a single question.
    parts: Sequence[CardPart] = ()

    @property
    def template(self) -> str:
        """The template with the controls of the card, chosen by the prompt's type."""
        return template_of(self.prompt)

    @property
    def is_quick(self) -> bool:
        """True if one of two buttons answers the question, and there is nothing else to read."""
        prompt = self.prompt
        return (
            type(prompt) is BinaryPrompt
            and not (self.parts or self.more or prompt.details or prompt.note_options)
            and not any(option.destructive or option.description for option in prompt.choices)
        )

    @property
    def view(self) -> QuestionView:
        """The contents of the question for display, the same for all readers."""
        return QuestionView.of(self.interaction)


def cards(pending: Sequence[Interaction], typed_answer: TypedAnswer | None = None) -> list[Card]:
    """Build the cards of pending questions; questions asked together share one card."""
    groups: dict[object, list[Interaction]] = {}
    for interaction in pending:
        together = interaction.prompt.get("together")
        group = (interaction.run_id, together["first"]) if together else interaction.pk
        groups.setdefault(group, []).append(interaction)
    return [card(*group, typed_answer=typed_answer) for group in groups.values()]


def card(
    interaction: Interaction,
    *other_interactions: Interaction,
    typed_answer: TypedAnswer | None = None,
    is_single: bool = False,
) -> Card:
    """Build the card of a question and the questions asked with it, or `is_single` without them."""
    if typed_answer and typed_answer.interaction != interaction.id:
        typed_answer = None
    view = QuestionView.of(interaction)
    prompt = view.prompt
    if is_single:
        prompt = prompt.model_copy(update={"together": None})
    form, parts, error = _contents(prompt, (interaction, *other_interactions), typed_answer)
    return Card(
        interaction=interaction,
        question=prompt.together.title if prompt.together else prompt.question,
        more="" if prompt.together else prompt.more,
        prompt=prompt,
        values=typed_answer.answer.values if typed_answer else [],
        error=error,
        note=typed_answer.answer.note if typed_answer else "",
        form=form,
        parts=parts,
    )


def _contents(
    prompt: AnyPrompt, group: Sequence[Interaction], typed_answer: TypedAnswer | None
) -> tuple[CardForm | None, Sequence[CardPart], str]:
    """Return the card's form, or else its parts, and an error that belongs to no field."""
    error = typed_answer.error if typed_answer else ""
    try:
        if prompt.together:
            data = typed_answer.answer.fields if typed_answer else None
            return None, [_part(interaction, data) for interaction in group], error
        form = _form(group[0].id, prompt, typed_answer)
        has_errors = form is not None and form.form.errors
        return form, (), pgettext("hitl", "Check the marked fields.") if has_errors else error
    except DatabaseError:
        raise
    except Invalid as refusal:  # show the reason, such as a missing form class
        return None, (), str(refusal)
    except Exception:
        path = getattr(prompt, "form", "")
        log.exception("form.not_shown", form=path, interaction=str(group[0].pk))
        error = pgettext(
            "hitl", "This form cannot be shown at the moment. An administrator can see why."
        )
        return None, (), error


def _form(
    interaction: UUID, prompt: AnyPrompt, typed_answer: TypedAnswer | None
) -> CardForm | None:
    """Build the form, if the prompt has one, with the typed values and their errors."""
    data = typed_answer.answer.fields or None if typed_answer else None
    form = prompt.make(data, auto_id=f"{interaction}-%s", label_suffix="")
    if form is None:
        return None
    for name, problems in (typed_answer.errors if typed_answer else {}).items():
        # The error of a refused argument without a field is shown for the whole form.
        field = name if name in form.fields else None
        form.errors.pop(field or NON_FIELD_ERRORS, None)
        form.add_error(field, list(problems))
    return CardForm(form, _fields(prompt, form))


def _fields(prompt: AnyPrompt, form: forms.BaseForm, key: str = "") -> list[CardField]:
    """Return the visible fields; focus the first with errors. `key` prefixes their keys."""
    wrong = next((bound_field for bound_field in form.visible_fields() if bound_field.errors), None)
    if wrong:
        wrong.field.widget.attrs["autofocus"] = True
    proposals = prompt.proposed
    changed_names = form.changed_data if form.is_bound and proposals else []
    return [
        CardField(
            bound_field,
            proposals.get(bound_field.name, ""),
            bound_field.name in changed_names,
            f"{key}{bound_field.name}",
        )
        for bound_field in form.visible_fields()
    ]


def _part(interaction: Interaction, data: Data | None) -> CardPart:
    key, prompt = str(interaction.pk), QuestionView.of(interaction).prompt
    options: JsonObject = {"auto_id": f"{key}-%s", "label_suffix": ""}
    common_arguments = (interaction.pk, prompt.question, prompt.more, prompt)
    part_data = None if data is None else within(data, f"{key}-")
    if form := prompt.make(part_data, prefix=f"{PREFIX}-{key}", **options):
        return CardPart(*common_arguments, form, _fields(prompt, form, f"{key}-"), is_form=True)
    form = _ValueForm(key, prompt, data=None if data is None else as_posted(data), **options)
    fields = [CardField(form[name], "", is_changed=False, key=name) for name in form.fields]
    return CardPart(*common_arguments, form, fields)


def within(data: Data, start: str) -> dict[str, list[str]]:
    """Return the values of names that begin with `start`, keyed by the rest of the name."""
    return {
        name.removeprefix(start): values for name, values in data.items() if name.startswith(start)
    }


class _ValueForm(forms.Form):
    """A form with one field, which the prompt checks, and a note field if a note may be needed."""

    def __init__(self, key: str, prompt: AnyPrompt, **options: Any) -> None:
        super().__init__(prefix=PREFIX, **options)
        field = prompt.field()
        field.label = prompt.question
        field.required = field.widget.is_required = prompt.is_required
        self.fields[key] = field
        if needed_for := getattr(prompt, "note_options", ""):
            label = pgettext("hitl", "Reason (required for: %(options)s)") % {"options": needed_for}
            area = forms.Textarea(attrs={"rows": 2, "maxlength": MAX_NOTE})
            self.fields[NOTE + key] = forms.CharField(label=label, required=False, widget=area)
        self._key, self._prompt = key, prompt

    def full_clean(self) -> None:
        """Validate by the prompt's own check, as for answers from every other client."""
        super().full_clean()
        if not self.is_bound:
            return
        self.errors.clear()
        name, note = self.add_prefix(self._key), self.data.get(self.add_prefix(NOTE + self._key))
        values = self.data.getlist(name)  # type: ignore[attr-defined] # `data` has getlist
        try:
            self._prompt.check(PageAnswer(values, note or ""))
        except Invalid as error:
            self.add_error(self._key, str(error))

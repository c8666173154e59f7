"""The form of a card, as Django shows it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

import structlog
from django.core.exceptions import NON_FIELD_ERRORS
from django.db import DatabaseError
from django.forms import BaseForm
from django.forms.boundfield import BoundField
from django.utils.translation import gettext

from sessions_app.errors import Invalid
from sessions_app.prompts import AnyPrompt

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class TypedAnswer:
    """An answer that was refused: it goes back into the fields, with the reason; `errors` are those
    of a form, by field. Files do not come back: browsers have them chosen again.
    """

    interaction: UUID
    values: Sequence[str]
    error: str
    errors: Mapping[str, Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CardField:
    """A field of a form, with what is proposed for it. `key` is what errors call it."""

    bound: BoundField
    proposed: str
    is_changed: bool
    key: str


@dataclass(frozen=True, slots=True)
class CardForm:
    """The form of a card, as Django shows it."""

    form: BaseForm
    fields: Sequence[CardField]


def make_form(
    interaction: UUID, prompt: AnyPrompt, typed: TypedAnswer | None
) -> tuple[CardForm | None, str]:
    """The form, if it asks for one, and what is wrong that is not said at its fields."""
    error = typed.error if typed else ""
    try:
        data = prompt.read(typed.values[0]) if typed and typed.values else None
    except Invalid:
        data = None
    try:
        form = prompt.make(data, auto_id=f"{interaction}-%s", label_suffix="")
        if form is None:
            return None, error
        for name, problems in (typed.errors if typed else {}).items():
            form.errors.pop(name or NON_FIELD_ERRORS, None)
            form.add_error(name or None, list(problems))
        is_wrong = bool(form.errors)
        fields = card_fields(prompt, form)
    except DatabaseError:
        raise
    except Exception:
        log.exception(
            "form.not_shown", form=getattr(prompt, "form", ""), interaction=str(interaction)
        )
        return None, gettext(
            "This form cannot be shown at the moment. Those who run this site can see why."
        )
    return CardForm(form, fields), gettext("Look at what is marked.") if is_wrong else error


def card_fields(prompt: AnyPrompt, form: BaseForm, key: str = "") -> list[CardField]:
    """The fields that are seen, the first that is wrong with the focus; `key` is before names."""
    wrong = next((one for one in form.visible_fields() if one.errors), None)
    if wrong:
        wrong.field.widget.attrs["autofocus"] = True
    changed = form.changed_data if form.is_bound and prompt.proposed else []
    proposed = prompt.proposed
    return [
        CardField(bound, proposed.get(bound.name, ""), bound.name in changed, f"{key}{bound.name}")
        for bound in form.visible_fields()
    ]

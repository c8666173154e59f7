"""The values of a form as people read them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext

from sessions_app.prompts.base import as_text
from sessions_app.prompts.forms.fields import FormField


@dataclass(frozen=True, slots=True)
class FieldText:
    """A field's value; `before` is what was proposed, where the person has changed it. `file` is
    the id of the one that was given.
    """

    label: str
    before: str
    after: str
    is_changed: bool
    file: str = ""


def field_texts(
    fields: Iterable[FormField], initial: Mapping[str, Any], response: Mapping[str, Any]
) -> list[FieldText]:
    """Of an answer that has values, field by field."""
    after, changed = response["value"], response["changed"]
    return [
        FieldText(
            field.label,
            value_text(field, initial.get(field.name)),
            value_text(field, after.get(field.name)),
            field.name in changed,
            (after.get(field.name) or {}).get("id", "") if field.type == "file" else "",
        )
        for field in fields
    ]


def value_text(field: FormField, value: Any) -> str:
    """A value as it is stored: by its choice's label, if it has one."""
    if value is None or value == "":
        return "–"
    if isinstance(value, list):
        return ", ".join(value_text(field, one) for one in value) or "–"
    if isinstance(value, bool) and not field.choices:
        return gettext("Yes") if value else gettext("No")
    if isinstance(value, dict) and field.type == "file":
        return str(value["name"])
    text = as_text(value)
    return dict(field.choices).get(text, text)

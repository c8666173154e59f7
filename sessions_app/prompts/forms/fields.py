"""The description of a form's fields, and of their values, without the form's class."""

import json
from collections.abc import Mapping
from copy import copy
from datetime import datetime
from typing import Any

from django import forms
from django.forms import BaseForm, Field, Widget
from django.forms.utils import pretty_name
from django.utils import timezone
from django.utils.choices import flatten_choices
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import pgettext, pgettext_lazy
from pydantic import BaseModel, ConfigDict
from pydantic_core import to_jsonable_python

from sessions_app.errors import Invalid
from sessions_app.json_types import JsonObject, is_too_deep
from sessions_app.prompts.base import as_text
from sessions_app.prompts.details import is_kept_by_browsers, is_line, literal
from sessions_app.prompts.hidden_characters import has_hidden
from sessions_app.storage.storable import MAX_DEPTH, check_finite, storable

# Type of a form field for clients, by the name of the nearest base class in this table.
FIELD_TYPES = {
    "MultipleChoiceField": "choices",
    "ModelMultipleChoiceField": "choices",
    "ChoiceField": "choice",
    "ModelChoiceField": "choice",
    "BooleanField": "boolean",
    "DecimalField": "number",
    "FloatField": "number",
    "IntegerField": "integer",
    "DateTimeField": "datetime",
    "SplitDateTimeField": "datetime",
    "DateField": "date",
    "TimeField": "time",
    "LinesField": "lines",
    "EmailField": "email",
    "URLField": "url",
    "JSONField": "json",
    "FileField": "file",
}
NOT_JSON = pgettext_lazy(
    "hitl",
    "Enter valid JSON, with at most 180 levels of lists and objects, and numbers of at most 4,300 "
    "digits.",
)
# Input types of browsers, with ISO 8601 formats; Django's widgets format by language.
NATIVE: dict[type[Widget], tuple[str, str]] = {
    forms.DateInput: ("date", "%Y-%m-%d"),
    forms.TimeInput: ("time", "%H:%M"),
}
# Largest integer that browsers represent exactly.
MAX_EXACT_INTEGER = 2**53
# Characters per row, to compute the rows of a text area for browsers that do not resize it.
ROW = 60
AREA = ("cols", "rows")  # attributes of text areas, not of one-line inputs

# Field classes whose cleaned value is the entered text itself, without conversion.
TEXT_FIELDS = (forms.CharField, forms.EmailField)
ChosenField = forms.TypedChoiceField | forms.TypedMultipleChoiceField


class StorableDecoder(json.JSONDecoder):
    """A JSON decoder that accepts only values storable as an answer."""

    def decode(self, text: str, *arguments: Any) -> Any:
        """Decode a text.

        Raises:
            JSONDecodeError: the text is not JSON, is nested too deeply, or has a number or a
                character that cannot be stored.
        """
        try:
            value = super().decode(text, *arguments)
            check_finite(value)
        except (ValueError, RecursionError, Invalid) as error:
            raise json.JSONDecodeError(str(error), text, 0) from error
        if is_too_deep(value, MAX_DEPTH) or storable(value) != value:
            raise json.JSONDecodeError("It cannot be stored", text, 0)
        return value


class PickedTime(forms.DateTimeInput):
    """The browser's control of a date and a time, with the time zone that is meant.

    It is Django's current zone; on the chat's pages, a script shows the time in the person's own
    zone instead, and sends it with the offset.
    """

    input_type = "datetime-local"

    def get_context(self, name: str, value: Any, attrs: JsonObject | None) -> JsonObject:
        """Return the context with the time as browsers take it; `data-at` has the offset."""
        at = _read_time(value)
        if at is not None:
            local = timezone.localtime(at)
            value = local.strftime("%Y-%m-%dT%H:%M" + (":%S" if local.second else ""))
            attrs = {**(attrs or {}), "data-at": at.isoformat()}
        context: JsonObject = super().get_context(name, value, attrs)
        return context

    def render(self, *arguments: Any, **options: Any) -> SafeString:
        """Render the control, and the name of the time zone."""
        label, zone = pgettext("hitl", "Time zone:"), timezone.get_current_timezone_name()
        shown = format_html(' <small>{} <span data-zone="">{}</span></small>', label, zone)
        return super().render(*arguments, **options) + shown


def _read_time(value: object) -> datetime | None:
    """Return the time of a field's value, or of a text that was sent, as an aware datetime."""
    at = _parse_time(value) if isinstance(value, str) else value
    if not isinstance(at, datetime):
        return None
    return timezone.make_aware(at) if timezone.is_naive(at) else at


def _parse_time(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text.strip())
    except ValueError:
        return None


class FormField(BaseModel):
    """A field of a form, in words for clients that show it themselves.

    `choices` are those that the form has always, as value and label.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    label: str
    type: str
    required: bool
    help_text: str = ""
    choices: list[tuple[str, str]] = []


def describe_fields(form: type[BaseForm]) -> list[FormField]:
    """Describe the fields of a form class; making an instance might read the database."""
    return [_describe_field(name, field) for name, field in _fields(form).items()]


def initial_values(form: type[BaseForm], values: Mapping[str, object]) -> JsonObject:
    """Return the initial values for a form: given ones, and constants declared by the class.

    Values are cleaned as by the form, so that an unchanged form counts as unchanged.

    Raises:
        ValueError: the form has no field with a given name.
    """
    fields = _fields(form)
    if unknown := values.keys() - fields:
        raise ValueError(f"{form.__qualname__} has no field {min(unknown)!r}")
    field_initials = {
        name: field.initial for name, field in fields.items() if not callable(field.initial)
    }
    return {
        name: _clean_value(fields[name], value)
        for name, value in {**field_initials, **values}.items()
        if value is not None
    }


def _clean_value(field: Field, value: object) -> object:
    # Skip a ModelChoiceField, which would query, and a JSONField, where a text is a JSON value.
    if not isinstance(value, str) or isinstance(field, forms.ModelChoiceField | forms.JSONField):
        return value
    try:
        return field.to_python(value)
    except forms.ValidationError:  # keep the value: the form shows it with an error
        return value


def use_native(form: BaseForm) -> None:
    """Use the browser's controls for dates and times, unless the author chose others."""
    for name, field in form.fields.items():
        widget = field.widget
        if type(widget) is forms.DateTimeInput and _is_native(widget):
            field.widget = PickedTime(widget.attrs)
            field.widget.is_required = widget.is_required
            continue
        native = NATIVE.get(type(widget))
        if native and "type" not in widget.attrs and not getattr(widget, "format", None):
            widget.input_type, widget.format = native
            # Show seconds if there are any: without them, the browser would send a changed value.
            if native[0] != "date" and getattr(form.initial.get(name), "second", False):
                widget.format += ":%S"


def _is_native(widget: forms.DateTimeInput) -> bool:
    return not widget.format and widget.attrs.get("type") in (None, PickedTime.input_type)


def read_json_strictly(form: BaseForm) -> None:
    """Make JSON fields refuse values that cannot be stored, unless they have their own decoder."""
    for field in form.fields.values():
        if isinstance(field, forms.JSONField) and field.decoder is None:
            field.decoder = StorableDecoder
            if field.error_messages["invalid"] == forms.JSONField.default_error_messages["invalid"]:
                field.error_messages["invalid"] = NOT_JSON


def shows_exactly(field: Field, value: Any) -> bool:
    """Return whether a field shows a value exactly, and a browser sends back the same value."""
    if isinstance(field, forms.JSONField):
        return True
    if isinstance(field, forms.TypedChoiceField | forms.TypedMultipleChoiceField):
        return _offers(field, value)
    if value is None:
        return (
            type(field) is not forms.BooleanField
            and FIELD_TYPES.get(type(field).__name__) != "lines"
        )
    texts = value if isinstance(value, list) else [value]
    if not all(is_kept_by_browsers(text) for text in texts if isinstance(text, str)):
        return False
    is_large = isinstance(value, int | float) and abs(value) > MAX_EXACT_INTEGER
    return not is_large and _comes_back(field, value)


def _offers(field: ChosenField, value: Any) -> bool:
    """Return whether the field's choices include the exact value, and all choices are legible."""
    choices = _all_choices(field)
    texts = [text for choice in choices for text in choice]
    if not all(is_line(text) and not has_hidden(text) and text == text.strip() for text in texts):
        return False
    if value is None:
        return ("", "---------") in choices
    is_several = isinstance(field, forms.TypedMultipleChoiceField)
    if is_several != isinstance(value, list):
        return False
    chosen = value if is_several else [value]
    offered = [field.coerce(key) for key, _label in choices if key and key in map(str, chosen)]
    return literal(offered) == literal(chosen)


def _comes_back(field: Field, value: Any) -> bool:
    is_time = isinstance(field, forms.fields.BaseTemporalField)
    # A duration would be sent back in another format than that of the proposed value.
    if isinstance(field, forms.DurationField) or (is_time and not isinstance(value, str)):
        return False
    field = copy(field)
    field.required = False  # accept an empty value: only exactness is tested
    if isinstance(field, forms.CharField):
        field.strip = False
    try:
        again = field.clean(field.prepare_value(value))
    except forms.ValidationError:
        return False
    # Browsers' controls cannot show years below 1000, nor fractions of a second.
    has_control = getattr(again, "year", 2000) > 999 and not getattr(again, "microsecond", 0)
    again = to_jsonable_python(again)
    is_same: bool = again == value
    return has_control and is_same and isinstance(again, bool) == isinstance(value, bool)


def show_exactly(field: Field, value: Any) -> None:
    """Make a field show the exact value of a tool call's argument, with its type."""
    if isinstance(field, forms.TypedChoiceField | forms.TypedMultipleChoiceField):
        field.choices = [(key, _label(field, key, label)) for key, label in _all_choices(field)]
    elif isinstance(field, forms.CharField) and type(field) in TEXT_FIELDS:
        field.strip = False
        may_be_short = value or not isinstance(field.widget, forms.Textarea)
        is_short = may_be_short and is_line(value or "")
        attributes = {one: field.widget.attrs[one] for one in field.widget.attrs if one not in AREA}
        # Use plain text inputs: browsers' inputs for email and URL may alter or hide the value.
        field.widget = (forms.TextInput if is_short else forms.Textarea)(attributes)
    elif isinstance(field, forms.JSONField):
        field.widget.attrs["data-json"] = True
    if isinstance(field.widget, forms.Textarea):
        text = value if isinstance(value, str) else literal(value)
        rows = sum(1 + len(line) // ROW for line in text.split("\n"))
        field.widget.attrs["rows"] = max(2, rows)


def _label(field: ChosenField, key: str, label: str) -> str:
    """Return a choice's label: the value, in JSON if some values are no texts, then the title."""
    if not key:
        return label
    values = [field.coerce(one) for one, _title in _choices(field)]
    text = key if all(isinstance(one, str) for one in values) else literal(field.coerce(key))
    return text if label == key else f"{text} – {label}"


def _fields(form: type[BaseForm]) -> dict[str, Field]:
    fields: dict[str, Field] = form.base_fields  # type: ignore[attr-defined] # set by the metaclass
    return fields


def _describe_field(name: str, field: Field) -> FormField:
    kinds = (FIELD_TYPES.get(class_.__name__) for class_ in type(field).__mro__)
    return FormField(
        name=name,
        label=str(field.label or pretty_name(name)),
        type=next(filter(None, kinds), "text"),
        required=field.required,
        help_text=str(field.help_text),
        choices=_choices(field),
    )


def _choices(field: Field) -> list[tuple[str, str]]:
    return [(value, label) for value, label in _all_choices(field) if value]


def _all_choices(field: Field) -> list[tuple[str, str]]:
    choices = getattr(field, "choices", None)
    if not isinstance(choices, list | tuple):  # skip lazy choices, which may query
        return []
    flat: list[tuple[object, object]] = list(flatten_choices(choices))
    return [(str(value), str(label)) for value, label in flat]


def value_text(field: FormField, value: Any) -> str:
    """Return a stored value as text for people; for a choice, its label."""
    if value is None or value == "":
        return "–"
    if isinstance(value, list):
        return ", ".join(value_text(field, element) for element in value) or "–"
    if isinstance(value, bool) and not field.choices:
        return pgettext("hitl", "Yes") if value else pgettext("hitl", "No")
    if isinstance(value, dict) and field.type == "file":
        return str(value["name"])
    text = as_text(value)
    if field.type == "datetime" and (at := _parse_time(text)) is not None:
        clock = "%H:%M:%S" if at.second else "%H:%M"
        return at.strftime(f"%Y-%m-%d {clock} %Z").rstrip()
    return dict(field.choices).get(text, text)

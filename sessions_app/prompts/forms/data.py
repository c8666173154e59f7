"""The data of a form: submissions, problems, and the conversion to JSON and back."""

import json
from collections.abc import Iterable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from functools import cache, cached_property
from typing import IO, TYPE_CHECKING, Any
from uuid import UUID

from django import forms
from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.core.files.uploadedfile import UploadedFile
from django.db.models import Model, QuerySet
from django.forms import BaseForm, BoundField, MultiWidget, Widget
from django.forms.widgets import Input
from django.utils.datastructures import MultiValueDict
from django.utils.functional import lazy
from django.utils.text import format_lazy
from django.utils.translation import pgettext_lazy
from pydantic import TypeAdapter
from pydantic_core import to_jsonable_python

from sessions_app.errors import Invalid
from sessions_app.json_types import JsonObject, is_too_deep
from sessions_app.models import AttachedFile
from sessions_app.prompts.base import as_text
from sessions_app.storage.storable import MAX_DEPTH, check_finite, storable

if TYPE_CHECKING:
    from django.http import QueryDict
    from django_stubs_ext import StrOrPromise

    AnyFile = UploadedFile[Any]
else:
    AnyFile = UploadedFile

# Prefix of a prompt's field names on a page, to tell them from other fields.
PREFIX = "f"
# Types that JSON lacks. Types are stored beside the values, so that an answer stays readable even
# if the form changes. `datetime` precedes `date`, because a datetime is a date too.
TYPES: dict[str, type] = {
    "decimal": Decimal,
    "datetime": datetime,
    "date": date,
    "time": time,
    "duration": timedelta,
    "uuid": UUID,
    "file": AttachedFile,
}
LIST = "[]"
# Types of fields (`FormField.type`) whose values can be lists.
LISTS = ("choices", "lines", "json")
# Values of a checkbox: "on" from a browser, the others from a form approved as proposed.
BOX = ("on", "true", "false")


def _say(error: ValidationError) -> str:
    return " ".join(error.messages)


_message = lazy(_say, str)


def read_posted(post: "QueryDict") -> dict[str, list[str]]:
    """Return the posted data of a prompt's form, with names unprefixed, and LF for CRLF."""
    start = f"{PREFIX}-"
    return {
        name.removeprefix(start): [text.replace("\r\n", "\n") for text in post.getlist(name)]
        for name in post
        if name.startswith(start)
    }


def as_posted(
    data: Mapping[str, Iterable[str]], prefix: str = PREFIX
) -> "MultiValueDict[str, str]":
    """Return data with field names prefixed as in a form on a page."""
    return MultiValueDict({f"{prefix}-{name}": list(values) for name, values in data.items()})


def texts(value: object, kind: str = "") -> list[str]:
    """Return a value as the texts that a browser would send for its form field."""
    values = value if isinstance(value, list | tuple) else [value]
    if kind == "json" and not isinstance(value, str):
        return [json.dumps(value)]
    json_types = (str, bool, int, float, dict)
    return [
        as_text(element) if isinstance(element, json_types) else str(element)
        for element in values
        if element is not None
    ]


def as_shown(form: BaseForm) -> dict[str, list[str]]:
    """Return the data that a browser would send for the unchanged form."""
    data: dict[str, list[str]] = {}
    for bound_field in form:
        widget, value = bound_field.field.widget, bound_field.value()
        parts = {bound_field.name: value}
        if isinstance(widget, MultiWidget):
            one_by_one = enumerate(widget.decompress(value) or ())
            parts = {f"{bound_field.name}_{number}": part for number, part in one_by_one}
        data |= {name: texts(part) for name, part in parts.items() if part is not None}
    return data


def check_posted(form: BaseForm) -> None:
    """Check that each field was sent as a browser sends it.

    Otherwise a missing field could pass for an emptied one, one of two values could be dropped, and
    any text would tick a box.

    Raises:
        Invalid: a field is missing or doubled, or a box has another value.
    """
    for bound_field in form:
        if not (bound_field.field.disabled or _is_posted(form, bound_field)):
            raise Invalid(pgettext_lazy("hitl", "The form is not complete. Load the page again."))


def _is_posted(form: BaseForm, bound_field: BoundField) -> bool:
    """Return whether a form's data has a field as a browser sends it."""
    widget, name = bound_field.field.widget, bound_field.html_name
    values = form.data.getlist(name)  # type: ignore[attr-defined] # `data` is a MultiValueDict
    if isinstance(widget, forms.CheckboxInput):
        own = (widget.format_value(bound_field.initial), widget.attrs.get("value"))
        return len(values) <= 1 and all(value in (*BOX, *own) for value in values)
    is_always_sent = isinstance(
        widget, Input | forms.Textarea | forms.Select | MultiWidget
    ) and not isinstance(widget, forms.FileInput | forms.MultipleHiddenInput)
    if is_always_sent and widget.value_omitted_from_data(form.data, form.files, name):
        return False
    return len(values) <= 1 or takes_several(widget)


def takes_several(widget: Widget) -> bool:
    """Return whether a widget sends several values under one name."""
    is_multiple = getattr(widget, "allow_multiple_selected", False)
    return bool(is_multiple) or isinstance(widget, forms.MultipleHiddenInput)


def sent_names(bound_field: BoundField) -> list[str]:
    """Return the names under which a form sends a field: one per widget of a MultiWidget."""
    widget, name = bound_field.field.widget, bound_field.name
    if not isinstance(widget, MultiWidget):
        return [name]
    return [f"{name}_{number}" for number in range(len(widget.widgets))]


def check_sent(form: BaseForm, values: Mapping[str, object], kinds: Mapping[str, str]) -> None:
    """Check that a program sends single values for single fields, and booleans for boxes.

    Raises:
        Invalid: a value is ambiguous; `errors` has the field.
    """
    for bound_field in form:
        field, value = bound_field.field, values.get(bound_field.name, False)
        is_list = kinds.get(bound_field.name) in LISTS or takes_several(field.widget)
        sent = [values.get(name) for name in sent_names(bound_field)]
        if not is_list and any(isinstance(one, list) for one in sent):
            raise _refused_field(bound_field, pgettext_lazy("hitl", "Send one value."))
        is_unknown = value is None and isinstance(field, forms.NullBooleanField)
        if isinstance(field, forms.BooleanField) and not isinstance(value, bool) and not is_unknown:
            raise _refused_field(bound_field, pgettext_lazy("hitl", "Send true or false."))


def _refused_field(bound_field: BoundField, reason: "StrOrPromise") -> Invalid:
    text = format_lazy("{label}: {reason}", label=bound_field.label, reason=reason)
    return Invalid(text, errors={bound_field.name: [reason]})


def refusal_error(form: BaseForm) -> Invalid:
    """Build the error with a form's problems by field; general problems are under "".

    Texts are lazy, and so translated to the reader's language when shown.
    """
    problems = {
        "" if name == NON_FIELD_ERRORS else name: [_message(error) for error in errors]
        for name, errors in form.errors.as_data().items()
    }
    labels = {bound_field.name: bound_field.label for bound_field in form}
    sentences = [
        format_lazy("{label}: {problem}", label=labels[name], problem=problem)
        if name in labels
        else problem
        for name, messages in problems.items()
        for problem in messages
    ]
    return Invalid(format_lazy("{}" + " {}" * (len(sentences) - 1), *sentences), errors=problems)


class Upload(AnyFile):
    """A stored attachment as an uploaded file for Django's forms; opened at the first read."""

    def __init__(self, attachment: AttachedFile) -> None:
        self.attachment = attachment
        self.name = attachment.name
        self.size = attachment.size
        self.content_type = attachment.content_type
        self.charset = None
        self.content_type_extra = None

    @cached_property
    def file(self) -> IO[Any]:  # type: ignore[override] # a plain attribute of the base class
        """The stored content, opened now."""
        return self.attachment.open()

    def close_if_open(self) -> None:
        """Close the file with the stored content, if it was opened."""
        if "file" in vars(self):
            self.file.close()


def check_storable_values(values: object) -> None:
    """Raise Invalid if an answer has too many levels, or a number or character not storable."""
    if is_too_deep(values, MAX_DEPTH + 1):  # one more level for the object that has all fields
        raise Invalid(
            pgettext_lazy(
                "hitl", "The answer has too many levels of lists and objects: send fewer of them."
            )
        )
    check_finite(values)
    if storable(values) != values:
        raise Invalid(
            pgettext_lazy("hitl", "The answer contains a character that cannot be stored.")
        )


def pack(values: Mapping[str, Any]) -> tuple[JsonObject, dict[str, str]]:
    """Return the values as JSON, and the type names of values, such as dates, that JSON lacks.

    A database row is stored as its primary key, because the row may change before a replay.

    Raises:
        TypeError: a value has no JSON form.
    """
    pairs = {name: _pack(name, value) for name, value in values.items()}
    types = {name: kind for name, (_, kind) in pairs.items() if kind}
    return {name: value for name, (value, _) in pairs.items()}, types


def unpack(values: Mapping[str, Any], types: Mapping[str, str]) -> JsonObject:
    """Return the original values from the result of `pack`."""
    return {name: _unpack(value, types.get(name, "")) for name, value in values.items()}


def _pack(name: str, value: object) -> tuple[Any, str]:
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, Model):
        value = value.pk
    if isinstance(value, Upload):
        value = value.attachment
    if isinstance(value, str | bool | int | float | None):
        return value, ""
    for kind, class_ in TYPES.items():
        if isinstance(value, class_):
            return _adapter(kind).dump_python(value, mode="json"), kind
    if isinstance(value, list | tuple | set | frozenset | QuerySet):
        return _pack_list(name, value)
    if isinstance(value, dict):
        return json.loads(json.dumps(value, default=to_jsonable_python)), ""
    raise TypeError(f"the value of {name!r} is a {type(value).__name__}, which has no JSON form")


def _pack_list(name: str, values: Iterable[Any]) -> tuple[list[Any], str]:
    pairs = [_pack(name, value) for value in values]
    kinds = {kind for _, kind in pairs}
    if len(kinds) > 1:
        raise TypeError(f"the values of {name!r} are of several types")
    kind = kinds.pop() if kinds else ""
    return [value for value, _ in pairs], f"{kind}{LIST}" if kind else ""


def _unpack(value: Any, kind: str) -> Any:
    if not kind:
        return value
    if kind.endswith(LIST):
        return [_unpack(element, kind.removesuffix(LIST)) for element in value]
    return _adapter(kind).validate_python(value)


@cache
def _adapter(kind: str) -> TypeAdapter[Any]:
    return TypeAdapter(TYPES[kind])

"""What is sent of a form, and what is wrong with it."""

import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.forms import BaseForm, MultiWidget
from django.utils.datastructures import MultiValueDict
from django.utils.functional import lazy
from django.utils.text import format_lazy

from sessions_app.errors import Invalid
from sessions_app.prompts.base import as_text

if TYPE_CHECKING:
    from django.http import QueryDict

# Before the names of its fields on a page, which has fields of its own.
PREFIX = "f"


def _say(error: ValidationError) -> str:
    return " ".join(error.messages)


_message = lazy(_say, str)


def posted(given: "QueryDict") -> dict[str, list[str]]:
    """The data of a form that a page has sent. Browsers end lines in their own way."""
    start = f"{PREFIX}-"
    return {
        name.removeprefix(start): [one.replace("\r\n", "\n") for one in given.getlist(name)]
        for name in given
        if name.startswith(start)
    }


def as_posted(
    data: Mapping[str, Iterable[str]], prefix: str = PREFIX
) -> "MultiValueDict[str, str]":
    """The data as the form of a page has it."""
    return MultiValueDict({f"{prefix}-{name}": list(one) for name, one in data.items()})


def texts(value: Any, kind: str = "") -> list[str]:
    """A value as a form sends it: a text, or several."""
    given = value if isinstance(value, list | tuple) else [value]
    if kind == "json" and not all(isinstance(one, str) for one in given):
        return [json.dumps(value)]
    return [_text(one) for one in given if one is not None]


def _text(value: Any) -> str:
    known = isinstance(value, str | bool | int | float | dict)
    return as_text(value) if known else str(value)


def as_shown(form: BaseForm) -> dict[str, list[str]]:
    """What a browser would send of the form as it is shown."""
    data: dict[str, list[str]] = {}
    for bound in form:
        widget, value = bound.field.widget, bound.value()
        parts = {bound.name: value}
        if isinstance(widget, MultiWidget):
            one_by_one = enumerate(widget.decompress(value) or ())
            parts = {f"{bound.name}_{number}": part for number, part in one_by_one}
        data |= {name: texts(part) for name, part in parts.items() if part is not None}
    return data


def refused(form: BaseForm) -> Invalid:
    """What is wrong, by field, or under "" of none: in the reader's language, which is known where
    it is said.
    """
    problems = {
        "" if name == NON_FIELD_ERRORS else name: [_message(error) for error in errors]
        for name, errors in form.errors.as_data().items()
    }
    labels = {bound.name: bound.label for bound in form}
    said = [
        format_lazy("{label}: {problem}", label=labels[name], problem=problem)
        if name in labels
        else problem
        for name, found in problems.items()
        for problem in found
    ]
    return Invalid(format_lazy("{}" + " {}" * (len(said) - 1), *said), errors=problems)

"""The restrictions on values that both databases store: no NUL, no lone surrogate, limited size."""

import json
import re
from typing import TYPE_CHECKING, Any

from django.utils.text import format_lazy
from django.utils.translation import pgettext_lazy
from pydantic_core import PydanticSerializationError, to_json

from sessions_app.errors import Invalid, TooLarge
from sessions_app.json_types import MOST_LEVELS, JsonObject
from sessions_app.settings import RuntimeSettings

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

UNSTORABLE = re.compile("[\0\ud800-\udfff]")
# Maximum nesting of JSON in a field: 20 levels below the limit, for objects around the field.
MAX_DEPTH = MOST_LEVELS - 20
REPLACEMENT = "\ufffd"
NUL = "\\u0000"  # the escape of a NUL character in JSON text


def encode(value: JsonObject) -> tuple[JsonObject, str]:
    """Return a JSON value in storable form, and the JSON text of that form.

    The text is made first, because it shows quickly that a value is storable, as nearly all are.
    """
    try:
        text = to_json(value).decode()
    except PydanticSerializationError:  # replaced below: half of a surrogate pair
        text = NUL
    if NUL in text:
        value = storable(value)
        text = to_json(value).decode()
    return value, text


def storable(value: object) -> Any:
    """Return a text or JSON value with U+FFFD in place of each character that cannot be stored."""
    if isinstance(value, str):
        return value if is_storable(value) else UNSTORABLE.sub(REPLACEMENT, value)
    if isinstance(value, dict):
        return {storable(name): storable(element) for name, element in value.items()}
    if isinstance(value, list):
        return [storable(element) for element in value]
    return value


def is_storable(text: str) -> bool:
    """Return whether the text can be stored unchanged."""
    return UNSTORABLE.search(text) is None


def check_storable(name: "StrOrPromise", text: str | None) -> None:
    """Check that a person's text can be stored.

    Raises:
        Invalid: the text cannot be stored unchanged.
    """
    if text is not None and not is_storable(text):
        raise Invalid(
            format_lazy(
                pgettext_lazy(
                    "hitl",
                    "{name} has a character that cannot be stored: a NUL (U+0000), or half of a "
                    "surrogate pair. Remove it and send it again.",
                ),
                name=name,
            )
        )


def check_finite(value: object) -> None:
    """Check that all numbers in a value are finite, as JSON requires.

    Raises:
        Invalid: a number is infinite, or NaN.
    """
    try:
        json.dumps(value, allow_nan=False)
    except ValueError:
        text = pgettext_lazy(
            "hitl", "A number is infinite, or none (NaN); JSON has no such number."
        )
        raise Invalid(text) from None


def check_length(text: str, limit: int, refusal: "StrOrPromise") -> None:
    """Check the length of a person's text.

    Raises:
        Invalid: the text is too long; `refusal`, with `{length}` and `{most}`, is the message.
    """
    if len(text) > limit:
        message = format_lazy(refusal, length=f"{len(text):,}", most=f"{limit:,}")
        raise Invalid(message, max_length=limit)


def check_size(subject: str, value: object, setting: str, *, each: int = 1) -> None:
    """Check the size of a workflow's JSON value; see `measure`.

    Raises:
        TooLarge: the texts and other values exceed the setting.
    """
    limit: int = getattr(RuntimeSettings.load(), setting)
    if measure(value, limit, each=each) > limit:
        raise TooLarge(subject, f"{limit:,} characters", setting)


def measure(value: object, limit: int, *, each: int = 1) -> int:
    """Return the size of a JSON value: characters of strings, and `each` per number, item, member.

    Counting stops once the size exceeds `limit`.
    """
    size, values = 0, [value]
    while values and size <= limit:
        element = values.pop()
        if isinstance(element, str):
            size += len(element)
        else:
            size += each * (len(element) if isinstance(element, list | dict) else 1)
        if isinstance(element, dict):
            values += element
            values += element.values()
        elif isinstance(element, list):
            values += element
    return size

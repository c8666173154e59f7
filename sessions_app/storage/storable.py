"""Text that both databases store: no NUL, and no half of a surrogate pair."""

import re
from typing import Any
from uuid import UUID

from sessions_app.errors import Invalid

UNSTORABLE = re.compile("[\0\ud800-\udfff]")
REPLACEMENT = "\ufffd"


def storable(value: Any) -> Any:
    """A text or JSON value with U+FFFD in the place of each character that is not stored."""
    if isinstance(value, str):
        return value if is_storable(value) else UNSTORABLE.sub(REPLACEMENT, value)
    if isinstance(value, dict):
        return {storable(name): storable(one) for name, one in value.items()}
    if isinstance(value, list):
        return [storable(one) for one in value]
    return value


def is_storable(text: str) -> bool:
    """Whether the text is stored as it is."""
    return UNSTORABLE.search(text) is None


def check_storable(name: str, text: str | None) -> None:
    """Take the text from a person.

    Raises:
        Invalid: it is not stored as it is.
    """
    if text is not None and not is_storable(text):
        raise Invalid(
            f"{name} holds a character that cannot be stored: a NUL (U+0000), or half of a "
            "surrogate pair. Remove it and send it again."
        )


def is_uuid(text: str) -> bool:
    """Whether the text is a UUID; the database takes nothing else for one."""
    try:
        UUID(text)
    except ValueError:
        return False
    return True

"""The types of JSON in rows, payloads and frames, and the reader of a person's JSON."""

import json
from typing import Any, NoReturn, TypeAlias

# An object of JSON. What it holds is known to who reads it: as a type of all JSON, each step into
# it would have to be narrowed first.
JsonObject: TypeAlias = dict[str, Any]


def is_same_json(one: object, other: object) -> bool:
    """Return whether two values are the same JSON: 40 and 40.0 are, true and 1 are not."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(
            is_same_json(one[name], other[name]) for name in one
        )
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(is_same_json, one, other))
    return one == other and isinstance(one, bool) == isinstance(other, bool)


def load_json(text: str | bytes) -> Any:
    """Load JSON that a person or a program has sent.

    Raises:
        ValueError: the text is not JSON, is nested too deeply, or has an object with the same name
            twice, of which readers would take different ones.
    """
    try:
        return json.loads(text, object_pairs_hook=_make_object, parse_constant=_refuse_constant)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _make_object(pairs: list[tuple[str, Any]]) -> JsonObject:
    names = dict(pairs)
    if len(names) < len(pairs):
        raise ValueError("an object has the same name twice")
    return names


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON value")

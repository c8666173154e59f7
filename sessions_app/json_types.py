"""The types of JSON in rows, payloads and frames, and the reader of a person's JSON."""

import json
from contextlib import suppress
from itertools import chain
from typing import Any, NoReturn, TypeAlias

# A JSON object. Its values are typed as Any, because a complete JSON type would force a type check
# at each access, although the code knows the object's structure.
JsonObject: TypeAlias = dict[str, Any]

# Maximum depth of nested lists and objects: the limit of pydantic's parser, which reads stored
# JSON. From Python 3.12 on, `json` parses ten times that depth, too deep for recursive functions.
MOST_LEVELS = 200


def is_same_json(one: object, other: object) -> bool:
    """Return whether two values are the same JSON: 40 equals 40.0, but true differs from 1."""
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
        ValueError: the text is not JSON, is nested too deeply, or has an object with a duplicate
            name, which readers resolve differently.
    """
    with suppress(RecursionError):
        value = json.loads(text, object_pairs_hook=_make_object, parse_constant=_refuse_constant)
        if not is_too_deep(value, MOST_LEVELS):
            return value
    raise ValueError("it is nested too deeply")


def is_too_deep(value: object, max_levels: int) -> bool:
    """Return whether a JSON value has more than `max_levels` levels of lists and objects."""
    level = [value]
    for _depth in range(max_levels):
        lists = [
            one.values() if isinstance(one, dict) else one
            for one in level
            if isinstance(one, dict | list)
        ]
        if not lists:
            return False
        level = list(chain.from_iterable(lists))
    return any(isinstance(one, dict | list) for one in level)


def _make_object(pairs: list[tuple[str, Any]]) -> JsonObject:
    names = dict(pairs)
    if len(names) < len(pairs):
        raise ValueError("an object has the same name twice")
    return names


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON value")

"""Values of a form as JSON, and back with the types that they had.

The types stand beside the values, so that an answer is read as it was given, whatever has become
of the form.
"""

import json
from collections.abc import Iterable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from functools import cache
from typing import Any
from uuid import UUID

from django.db.models import Model, QuerySet
from pydantic import TypeAdapter
from pydantic_core import to_jsonable_python

from sessions_app.models import AttachedFile
from sessions_app.prompts.forms.uploads import Upload

# A datetime is a date too, so it comes first.
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


def pack(values: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """The values as JSON, and the types of those that JSON has not.

    Of a row of the database it is the primary key: the row itself may be another by the next
    replay.

    Raises:
        TypeError: one of them has no JSON form.
    """
    packed = {name: _pack(name, value) for name, value in values.items()}
    types = {name: kind for name, (_, kind) in packed.items() if kind}
    return {name: value for name, (value, _) in packed.items()}, types


def unpack(values: Mapping[str, Any], types: Mapping[str, str]) -> dict[str, Any]:
    """What was packed."""
    return {name: _unpack(value, types.get(name, "")) for name, value in values.items()}


def _pack(name: str, value: Any) -> tuple[Any, str]:
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, Model):
        value = value.pk
    if isinstance(value, Upload):
        value = value.kept
    if isinstance(value, str | bool | int | float | None):
        return value, ""
    for kind, known in TYPES.items():
        if isinstance(value, known):
            return _adapter(kind).dump_python(value, mode="json"), kind
    if isinstance(value, list | tuple | set | frozenset | QuerySet):
        return _pack_list(name, value)
    if isinstance(value, dict):
        return json.loads(json.dumps(value, default=to_jsonable_python)), ""
    raise TypeError(f"the value of {name!r} is a {type(value).__name__}, which has no JSON form")


def _pack_list(name: str, values: Iterable[Any]) -> tuple[list[Any], str]:
    packed = [_pack(name, value) for value in values]
    kinds = {kind for _, kind in packed}
    if len(kinds) > 1:
        raise TypeError(f"the values of {name!r} are of several types")
    kind = kinds.pop() if kinds else ""
    return [value for value, _ in packed], f"{kind}{LIST}" if kind else ""


def _unpack(value: Any, kind: str) -> Any:
    if not kind:
        return value
    if kind.endswith(LIST):
        return [_unpack(one, kind.removesuffix(LIST)) for one in value]
    return _adapter(kind).validate_python(value)


@cache
def _adapter(kind: str) -> TypeAdapter[Any]:
    return TypeAdapter(TYPES[kind])

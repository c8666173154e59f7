"""The corpus as JSON schemas, and as values by them: each check ends, and raises nothing."""

import json
from typing import Any

import pytest

from sessions_app.prompts import argument_problems, check_schema
from tests.hostile.attack.entries import hostile_json


def values() -> list[Any]:
    """Return the values of the corpus that Python reads."""
    read = []
    for _name, text in hostile_json():
        try:
            read.append(json.loads(text))
        except (ValueError, RecursionError):
            continue
    return read


def schemas_with(value: Any) -> list[Any]:
    """Return schemas that hold a value: as a whole, and where it is evaluated."""
    places: list[Any] = [
        {"properties": {"x": value}},
        {"properties": {"x": {"enum": [value], "default": value}}},
        {"not": {"const": value}},
    ]
    if isinstance(value, str):
        places += [
            {"properties": {"x": {"pattern": value}}},
            {"patternProperties": {value: {"$ref": value}}},
            {"properties": {value: {"format": value}}, "required": [value]},
        ]
    return [value, *places] if isinstance(value, dict) else places


def test_any_value_is_a_schema_or_is_none() -> None:
    for value in values():
        for schema in schemas_with(value):
            check_schema(schema)


@pytest.mark.slow
def test_any_value_fits_a_schema_or_does_not() -> None:
    pattern = {"x": {"type": "string", "pattern": "^(.+)+$"}}
    for value in values():
        arguments = {"x": value}
        for schema in ({"properties": pattern, "required": ["y"]}, *schemas_with(value)):
            argument_problems(schema, arguments)
        argument_problems({"properties": pattern}, value)

"""A good value of a JSON Schema, and the places in it where something else may stand."""

from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any

Schema = Mapping[str, Any]
Place = tuple[str | int, ...]

# As no entry is: what JSON it is replaced by is decided when it is written.
MARK = "\ue000mark\ue000"


def examples(schema: Schema, root: Schema, known: Mapping[str, Any]) -> list[Any]:
    """Good values: one for each choice that the schema leaves, all fields given.

    `known` has the values of fields by name; `root` is what references lead into.
    """
    values: list[Any] = []
    for choice in range(4):
        value = _example(schema, root, known, choice)
        if value not in values:
            values.append(value)
    return values


def places(value: Any, place: Place = ()) -> Iterator[Place]:
    """Yield each place in a value: of its parts and parts of parts, and of itself."""
    yield place
    inner: Any = ()
    if isinstance(value, dict):
        inner = value.items()
    elif isinstance(value, list):
        inner = enumerate(value)
    for name, part in inner:
        yield from places(part, (*place, name))


def replaced(value: Any, place: Place, other: Any) -> Any:
    """Return the value with something else in one place."""
    if not place:
        return other
    copy = deepcopy(value)
    inner = copy
    for name in place[:-1]:
        inner = inner[name]
    inner[place[-1]] = other
    return copy


def _example(schema: Schema, root: Schema, known: Mapping[str, Any], choice: int) -> Any:
    if "$ref" in schema:
        target: Any = root
        for name in schema["$ref"].removeprefix("#/").split("/"):
            target = target[name]
        return _example({**target, **_beside(schema)}, root, known, choice)
    choices = schema.get("anyOf") or schema.get("oneOf")
    if choices:
        some = [one for one in choices if one.get("type") != "null"]
        one = some[choice % len(some)]
        return _example({**_beside(schema), **one}, root, known, choice)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return schema["enum"][choice % len(schema["enum"])]
    match schema.get("type"):
        case "object":
            return {
                name: known.get(name) or _example(inner, root, known, choice)
                for name, inner in schema.get("properties", {}).items()
            }
        case "array":
            return [_example(schema.get("items", {}), root, known, choice)]
        case "integer" | "number":
            return 1
        case "boolean":
            return bool(choice)
    return "x"


def _beside(schema: Schema) -> dict[str, Any]:
    return {name: value for name, value in schema.items() if name not in ("$ref", "anyOf", "oneOf")}

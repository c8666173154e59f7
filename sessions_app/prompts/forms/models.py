"""A Django form from a pydantic model, or from any JSON schema of an object.

The fields come from the JSON schema; further checks of the model run when the form is cleaned.
"""

import sys
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any, ClassVar

from django import forms
from django.core.validators import EMPTY_VALUES
from pydantic import BaseModel, ValidationError
from pydantic_core import from_json, to_json, to_jsonable_python

from sessions_app.json_types import JsonObject
from sessions_app.prompts.forms.schema_checks import argument_problems

# Maximum length of a text for which a one-line input is used.
MAX_LINE_LENGTH = 200
# Limit of choices in schemas from elsewhere; more, by references, would take minutes to render.
MAX_CHOICES = 2_000
BY_FORMAT: dict[str, type[forms.Field]] = {
    "date": forms.DateField,
    "date-time": forms.DateTimeField,
    "time": forms.TimeField,
    "duration": forms.DurationField,
    "uuid": forms.UUIDField,
    "email": forms.EmailField,
}
BY_TYPE: dict[str, type[forms.Field]] = {
    "boolean": forms.BooleanField,
    "integer": forms.IntegerField,
    "number": forms.FloatField,
}
LIMITS: dict[type[forms.Field], dict[str, str]] = {
    forms.IntegerField: {"minimum": "min_value", "maximum": "max_value"},
    forms.CharField: {"minLength": "min_length", "maxLength": "max_length"},
}


class Lines(forms.Textarea):
    """A text area for a list of lines, which programs may send as separate values."""

    def value_from_datadict(self, data: Any, files: Any, name: str) -> object:
        return "\n".join(data.getlist(name)) if name in data else None


class LinesField(forms.CharField):
    """A list of texts, one per line."""

    widget = Lines

    def prepare_value(self, value: object) -> object:
        return "\n".join(map(str, value)) if isinstance(value, list) else value

    def to_python(self, value: object) -> Any:
        lines = value if isinstance(value, list) else str(value or "").splitlines()
        return [line.strip() for line in lines if line.strip()]


class OfModel(forms.Form):
    """A form made from a pydantic model; the model also validates the cleaned data."""

    model: ClassVar[type[BaseModel]]

    def clean(self) -> JsonObject:
        """Validate the data with the model, and assign errors to fields."""
        super().clean()
        if not self.errors:
            try:
                self.model.model_validate(self.cleaned_data)
            except ValidationError as error:
                for problem in error.errors(include_url=False):
                    self._add(*problem["loc"], message=problem["msg"])
        return self.cleaned_data

    def _add(self, *location: str | int, message: str) -> None:
        message = message.removeprefix("Value error, ")
        if not location or location[0] not in self.fields:
            self.add_error(None, message)
            return
        within = ".".join(map(str, location[1:]))
        self.add_error(str(location[0]), f"{within}: {message}" if within else message)


class OfSchema(forms.Form):
    """A form that validates its data, without empty optional values, by a JSON schema."""

    json_schema: ClassVar[JsonObject]

    def clean(self) -> JsonObject:
        """Check the data against the schema, and assign errors to fields."""
        super().clean()
        required = self.json_schema.get("required", ())
        values: JsonObject = {
            name: to_jsonable_python(value)
            for name, value in self.cleaned_data.items()
            if name in required or value not in EMPTY_VALUES
        }
        if not self.errors:
            for name, problem in argument_problems(self.json_schema, values).items():
                self.add_error(name if name in self.fields else None, str(problem))
        return values


def form_class(form: type[forms.BaseForm] | type[BaseModel]) -> type[forms.BaseForm]:
    """Return a form's class: the argument itself, or the one built from a pydantic model."""
    return _of_model(form) if issubclass(form, BaseModel) else form


@lru_cache(maxsize=256)
def _of_model(model: type[BaseModel]) -> type[forms.Form]:
    """Build a form class with the model's fields, named by their validation aliases."""
    infos = model.model_fields
    titles: JsonObject = {
        str(info.validation_alias or name): info.title for name, info in infos.items()
    }
    fields = schema_fields(model.model_json_schema(), titles, most_choices=sys.maxsize)
    return type(model.__name__, (OfModel,), {**fields, "model": model})


def schema_form_class(schema: JsonObject) -> type[forms.Form]:
    """Return the class of a form with a field for each property of a JSON schema."""
    return _of_schema(to_json(schema))


@lru_cache(maxsize=256)
def _of_schema(schema: bytes) -> type[forms.Form]:
    json_schema = from_json(schema)
    titles = {
        name: one.get("title")
        for name, one in json_schema.get("properties", {}).items()
        if isinstance(one, dict)
    }
    fields = schema_fields(json_schema, titles)
    for name, field in fields.items():
        is_required = name in json_schema.get("required", ())
        field.required = is_required and not isinstance(field, forms.BooleanField)
    class_: type[OfSchema] = type("Answers", (OfSchema,), fields)
    class_.json_schema = json_schema
    return class_


def schema_fields(
    schema: JsonObject,
    titles: Mapping[str, str | None] = MappingProxyType({}),
    most_choices: int = MAX_CHOICES,
) -> dict[str, forms.Field]:
    """Build a form field for each property of a JSON schema.

    Args:
        titles: the labels by name.
        most_choices: limit for all fields together; beyond, a field is a text or JSON input.
    """
    defs = schema.get("$defs") or schema.get("definitions") or {}
    fields = {}
    for name, property_schema in schema.get("properties", {}).items():
        fields[name] = _field(property_schema, defs, titles.get(name), most_choices)
        most_choices -= len(getattr(fields[name], "choices", ()))
    return fields


def _field(
    schema: JsonObject, defs: JsonObject, label: str | None, max_choices: int
) -> forms.Field:
    alternatives = [_resolve_references(one, defs) for one in _alternatives(schema)]
    kinds = [kind for kind in alternatives if kind.get("type") != "null"] or [{}]
    default = schema.get("default")
    is_optional = len(kinds) < len(alternatives)
    class_, options = _kind(kinds, max_choices)
    if is_optional and issubclass(class_, forms.CharField | forms.TypedChoiceField):
        options["empty_value"] = None
    # An empty list is accepted by the field, because the model checks the number of items.
    may_be_empty = is_optional or default == "" or kinds[0].get("type") == "array"
    if class_ is forms.TypedChoiceField and default is None:
        options["choices"] = [("", "---------"), *options["choices"]]
    if class_ is forms.BooleanField and is_optional:
        class_ = forms.NullBooleanField
    if class_ is forms.BooleanField or may_be_empty:
        options["required"] = False
    return class_(label=label, help_text=schema.get("description", ""), initial=default, **options)


def _alternatives(schema: Any) -> list[JsonObject]:
    """Return the alternative schemas of a value; `schema` need not be an object."""
    if not isinstance(schema, dict):
        return [{}]
    types = schema.get("type")
    if isinstance(types, list):
        return [{**schema, "type": one} for one in types]
    return [one for one in schema.get("anyOf", ()) if isinstance(one, dict)] or [schema]


def _resolve_references(schema: JsonObject, defs: JsonObject) -> JsonObject:
    """Replace the references at the top level of a schema, and of its items."""
    schema = _resolve_reference(schema, defs)
    if isinstance(schema.get("items"), dict):
        schema = {**schema, "items": _resolve_reference(schema["items"], defs)}
    return schema


def _resolve_reference(schema: JsonObject, defs: JsonObject) -> JsonObject:
    target = defs.get(schema.get("$ref", "").rpartition("/")[2])
    return {**target, **schema} if isinstance(target, dict) else schema


def _kind(kinds: list[JsonObject], max_choices: int) -> tuple[type[forms.Field], JsonObject]:
    """Return the form field class for a schema, and its arguments; JSONField if no other fits."""
    kind, names = kinds[0], [schema.get("type") for schema in kinds]
    if names == ["number", "string"]:
        return forms.DecimalField, _limits(forms.DecimalField, kind)
    if len(kinds) > 1:
        return forms.JSONField, {}
    if choices := _choices(kind, max_choices):
        return forms.TypedChoiceField, choices
    if names == ["array"]:
        items = kind["items"] if isinstance(kind.get("items"), dict) else {}
        if choices := _choices(items, max_choices):
            options = {**choices, "widget": forms.CheckboxSelectMultiple}
            return forms.TypedMultipleChoiceField, options
        if items.get("type") == "string" and "format" not in items:
            return LinesField, {}
    elif names == ["string"]:
        if field_class := BY_FORMAT.get(kind.get("format", "")):
            return field_class, {}
        return forms.CharField, {**_limits(forms.CharField, kind), **_lines(kind)}
    elif field_class := BY_TYPE.get(str(names[0])):
        return field_class, _limits(field_class, kind)
    return forms.JSONField, {}


def _choices(kind: JsonObject, max_choices: int) -> JsonObject:
    """Build the choices for a schema's listed values; empty if there are none, or too many.

    A choice is coerced to the value itself, which need not be a text.
    """
    titled = kind.get("oneOf") or kind.get("anyOf") or []
    if max(len(titled), len(kind.get("enum") or ())) > max_choices:
        return {}
    if titled and all(isinstance(one, dict) and "const" in one for one in titled):
        labels = {str(one["const"]): str(one.get("title", one["const"])) for one in titled}
        values = [one["const"] for one in titled]
    else:
        values = kind.get("enum") or ([kind["const"]] if "const" in kind else [])
        names = kind.get("enumNames")
        names = names if isinstance(names, list) and names else values
        labels = dict(zip(map(str, values), map(str, names), strict=False))
    by_text = {str(value): value for value in values}
    if not by_text:
        return {}
    choices = [(text, labels.get(text, text)) for text in by_text]
    return {"choices": choices, "coerce": lambda choice: by_text[str(choice)]}


def _limits(class_: type[forms.Field], kind: JsonObject) -> JsonObject:
    """Return the schema's limits that apply to the field's class."""
    names = next((LIMITS[one] for one in LIMITS if issubclass(class_, one)), {})
    return {names[name]: value for name, value in kind.items() if name in names}


def _lines(kind: JsonObject) -> JsonObject:
    if kind.get("maxLength", MAX_LINE_LENGTH + 1) <= MAX_LINE_LENGTH:
        return {}
    return {"widget": forms.Textarea(attrs={"rows": 3}), "strip": False}

"""The places where input comes in, found in the code: URLs, look-ups of views, forms, messages,
admin.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from django.contrib import admin
from django.contrib.admin.views import main as changelist
from django.db.models import Model
from django.urls import URLResolver, get_resolver

from chat_app.wire.server_messages import protocol_schema
from tests.hostile.attack.examples import Place, examples, places
from tests.support.server import ROOT

PACKAGES = ("chat_app", "natproject", "sessions_app")
CHANGELIST = [value for name, value in vars(changelist).items() if name.endswith("_VAR")]


@dataclass(frozen=True, slots=True)
class Page:
    """A URL: `c/%(conversation_id)s/` with the names of its parameters."""

    template: str
    parameters: tuple[str, ...]


def pages(resolver: URLResolver | None = None, prefix: str = "") -> set[Page]:
    """Return every URL of the project."""
    resolver = resolver or get_resolver()
    all_pages = {
        Page(prefix + template, tuple(parameters))
        for name in resolver.reverse_dict
        for possibilities, *_ in resolver.reverse_dict.getlist(name)
        for template, parameters in possibilities
    }
    for inner, namespace in resolver.namespace_dict.values():
        all_pages |= pages(namespace, prefix + inner)
    return all_pages


@cache
def looked_up(attribute: str) -> set[str]:
    """Return the names that the project's code looks up in `request.GET` or `request.POST`."""
    return {
        name
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if any(_is_taken(part, attribute) for part in ast.iter_child_nodes(node))
        or (isinstance(node, ast.Call) and _is_taken(getattr(node.func, "value", None), attribute))
        for name in _texts(node)
    }


def _is_taken(node: Any, attribute: str) -> bool:
    return isinstance(node, ast.Attribute) and node.attr == attribute


def _texts(node: ast.AST) -> Iterator[str]:
    for part in ast.iter_child_nodes(node):
        if isinstance(part, ast.Constant) and isinstance(part.value, str) and part.value:
            yield part.value


def list_parameters(model_admin: "admin.ModelAdmin[Any]") -> set[str]:
    """Return what the list of a model in the admin takes in its query."""
    parameters = set(CHANGELIST)
    for each in model_admin.list_filter:
        name = each[0] if isinstance(each, tuple) else each
        if isinstance(name, str):
            parameters |= {
                f"{name}{ending}" for ending in ("", "__exact", "__isnull", "__in", "__gte")
            }
            parameters |= {f"{name}__id__exact", f"{name}__isempty"}
    if model_admin.date_hierarchy:
        parameters |= {f"{model_admin.date_hierarchy}__{part}" for part in ("year", "month", "day")}
    fields = {field.name for field in model_admin.model._meta.concrete_fields}
    relations = {f.name for f in model_admin.model._meta.concrete_fields if f.is_relation}
    return (
        parameters | fields | {f"{name}__id__exact" for name in relations} | {"id__regex", "pk__in"}
    )


def model_pages() -> dict[str, type[Model]]:
    """Return the models of the admin, by the path of their lists."""
    return {
        f"/admin/{model._meta.app_label}/{model._meta.model_name}/": model
        for model in admin.site._registry
    }


@dataclass(frozen=True, slots=True)
class Message:
    """A message of the socket, good as it is, and the places in it."""

    type: str
    frame: dict[str, Any]
    places: list[Place]


def messages(known: dict[str, Any]) -> list[Message]:
    """Return every message of the protocol, in each of the forms that its schema leaves open."""
    schema = protocol_schema()
    all_messages = []
    for one in schema["$defs"]["ClientMessage"]["oneOf"]:
        type_ = one["properties"]["type"]["const"]
        for frame in examples({"$ref": one["$ref"]}, schema, known):
            frame = {"type": type_, **frame}
            all_messages.append(Message(type_, frame, list(places(frame))[1:]))
    return all_messages

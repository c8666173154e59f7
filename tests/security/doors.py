"""The doors that docs/security.md names, and those that the code has."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.contrib import admin
from django.urls import URLResolver, get_resolver

from natproject.settings.env import ROOT

DOCUMENT = (ROOT / "docs" / "security.md").read_text()
# Pages of the models: `/admin/<application>/<model>/…`.
OF_A_MODEL = re.compile(r"^/admin/(?!password_change/|r/|login|logout|autocomplete|jsi18n)\w+/\w+/")
# What Django has at the end of the admin: whatever else leads to its sign-in page, or is not found.
REST_OF_ADMIN = "/admin/<url>"


@dataclass(frozen=True)
class Door:
    """A row of the table of addresses, for one of them."""

    path: str
    methods: tuple[str, ...]
    audience: str


def table(heading: str) -> list[list[str]]:
    """Return the rows of the table below a heading of the document, without its first two lines."""
    part = DOCUMENT.partition(f"### {heading}\n")[2].partition("\n### ")[0].partition("\n## ")[0]
    rows = [line for line in part.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows[2:]]


def names_in_backticks(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def documented_doors() -> list[Door]:
    return [
        Door(path, tuple(methods.split(", ")), audience)
        for paths, methods, audience, _ in table("Who may open each address")
        for path in names_in_backticks(paths)
    ]


def addresses() -> set[str]:
    """Return the addresses that the URL patterns make, each parameter as `<name>`."""
    return {path for path in _paths(get_resolver(), "") if path != REST_OF_ADMIN}


def _paths(resolver: URLResolver, prefix: str) -> Iterator[str]:
    for pattern in resolver.url_patterns:
        path = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from _paths(pattern, path)
        else:
            django_path = re.sub(r"\(\?P(<\w+>)[^)]*\)", r"\1", path)  # of a regular expression
            yield "/" + re.sub(r"[\^$]", "", re.sub(r"<\w+:(\w+)>", r"<\1>", django_path))


def model_admins() -> list[Any]:
    ours = ("sessions_app", "chat_app", "hitl_oauth")
    registered = admin.site._registry.items()
    return [pages for model, pages in registered if model._meta.app_label in ours]

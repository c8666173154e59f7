"""A JSON column that keeps the order of names."""

import json
from typing import Any

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models.expressions import Expression
from django.db.models.functions import Cast


class OrderedJSONField(models.JSONField):
    """A field for JSON of people and workflows that keeps the order of names.

    People read details in that order, and a workflow that iterates over a step's result must see
    the same order in a replay. PostgreSQL's `jsonb` sorts names. The type `json` keeps the text but
    has no comparison, so DISTINCT fails on rows with such a column.
    """

    def db_type(self, connection: BaseDatabaseWrapper) -> str | None:
        """Return the column's type: `json` on PostgreSQL."""
        return "json" if connection.vendor == "postgresql" else super().db_type(connection)

    def get_db_prep_value(
        self, value: object, connection: BaseDatabaseWrapper, prepared: bool = False
    ) -> Any:
        """Return the value as text, because Django's adapter for PostgreSQL would send `jsonb`."""
        if connection.vendor != "postgresql":
            return super().get_db_prep_value(value, connection, prepared)
        return json.dumps(value, cls=self.encoder)

    def from_db_value(
        self, value: Any, expression: Expression, connection: BaseDatabaseWrapper
    ) -> Any:
        """Return the driver's value: `json` comes decoded from PostgreSQL, only `jsonb` is text."""
        if connection.vendor == "postgresql":
            return value
        return super().from_db_value(value, expression, connection)

    def get_transform(self, lookup_name: str) -> Any:
        """Return the transform of `prompt__text` and the like, on a cast to `jsonb`."""
        transform = super().get_transform(lookup_name)
        return lambda lhs: transform(Cast(lhs, models.JSONField()))

    def get_lookup(self, lookup_name: str) -> Any:
        """Return the lookup of `payload=…` and the like, on a cast to `jsonb`."""
        lookup = super().get_lookup(lookup_name)
        if lookup is None or lookup_name == "isnull":
            return lookup
        return type(lookup.__name__, (_JsonbLookup, lookup), {})


class _JsonbLookup:
    """A lookup that compares its left side as `jsonb`."""

    def __init__(self, lhs: Any, rhs: Any) -> None:
        super().__init__(Cast(lhs, models.JSONField()), rhs)  # type: ignore[call-arg] # of the lookup class

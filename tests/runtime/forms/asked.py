"""Form classes for the tests, which are found by name, like those of a project."""

import json
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Literal
from uuid import UUID

from django import forms
from django.contrib.auth import get_user_model
from pydantic import BaseModel, Field, model_validator


class Every(forms.Form):
    """A form with a field of each kind."""

    text = forms.CharField()
    number = forms.DecimalField(decimal_places=2)
    whole = forms.IntegerField(min_value=1)
    part = forms.FloatField(required=False)
    sure = forms.BooleanField(required=False)
    day = forms.DateField()
    at = forms.DateTimeField(required=False)
    when = forms.SplitDateTimeField(required=False)
    hour = forms.TimeField(required=False)
    long = forms.DurationField(required=False)
    id = forms.UUIDField(required=False)
    one = forms.TypedChoiceField(choices=[(1, "One"), (2, "Two")], coerce=int)
    some = forms.MultipleChoiceField(choices=[("a", "A"), ("b", "B")], required=False)
    more = forms.JSONField(required=False)


class OwnDecoder(forms.Form):
    """A form with a JSON field that uses its author's decoder."""

    more = forms.JSONField(decoder=json.JSONDecoder)


class OfUser(forms.Form):
    """A form with a choice of one database row, and of several."""

    user = forms.ModelChoiceField(get_user_model().objects.all())
    others = forms.ModelMultipleChoiceField(get_user_model().objects.all(), required=False)


class Broken(forms.Form):
    """A form whose author made a mistake."""

    text = forms.CharField()

    def clean_text(self) -> str:
        """Raise an error, always."""
        raise KeyError(self.cleaned_data["text"])


class Today(forms.Form):
    """A form whose answer is valid when given, but may be invalid when it is read again."""

    takes = [1]
    days = forms.DecimalField()

    def clean_days(self) -> Decimal:
        """Refuse more days than are left now."""
        days: Decimal = self.cleaned_data["days"]
        if not self.takes:
            raise forms.ValidationError("Nothing is left.")
        return days


class Colour(Enum):
    """An enumeration of two colours."""

    RED = "red"
    BLUE = "blue"


class Inner(BaseModel):
    """Within another."""

    town: str


class Model(BaseModel):
    """A field of each kind."""

    text: str = Field(max_length=20, title="The text", description="Short.")
    letter: str = ""
    maybe: str | None = None
    whole: int = Field(ge=1)
    number: Decimal
    part: float = 0.5
    sure: bool = False
    unsure: bool | None = None
    day: date
    at: datetime | None = None
    hour: time | None = None
    long: timedelta | None = None
    id: UUID | None = None
    colour: Colour
    size: Literal[1, 2] = 1
    colours: list[Colour] = []
    lines: list[str] = []
    inner: Inner | None = None

    @model_validator(mode="after")
    def _fits(self) -> "Model":
        if self.whole == 13:
            raise ValueError("not that one")
        return self


class Small(BaseModel):
    """A model of one field."""

    days: Decimal

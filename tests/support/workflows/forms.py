"""Forms for prompts: Django forms and a pydantic model."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Literal

from django import forms
from pydantic import BaseModel, Field

from sessions_app.prompts import FormPrompt, ToolCallPrompt

KINDS = [("holiday", "Holiday"), ("care", "Care of a child")]


class LeaveForm(forms.Form):
    """The form for a few days off."""

    kind = forms.ChoiceField(choices=KINDS, widget=forms.RadioSelect)
    start = forms.DateField(label="First day")
    days = forms.DecimalField(
        min_value=Decimal("0.5"), max_value=30, decimal_places=1, help_text="Halves are fine."
    )
    half = forms.BooleanField(label="The last day is a half", required=False)
    note = forms.CharField(widget=forms.Textarea(attrs={"rows": 2}), required=False)
    tell = forms.MultipleChoiceField(
        choices=[("team", "The team"), ("boss", "The boss")],
        widget=forms.CheckboxSelectMultiple,
        required=False,
    )

    def clean_start(self) -> date:
        """Refuse a Sunday."""
        start: date = self.cleaned_data["start"]
        if start.isoweekday() == 7:
            raise forms.ValidationError("That is a Sunday.")
        return start

    def clean(self) -> None:
        """Refuse half days of care, with an error that belongs to no single field."""
        super().clean()
        if self.cleaned_data.get("kind") == "care" and self.cleaned_data.get("half"):
            raise forms.ValidationError("Care is for whole days.")


class ArrivalForm(forms.Form):
    """The form for the time of an arrival."""

    at = forms.DateTimeField(label="Arrival")
    flight = forms.CharField(required=False)

    def clean_flight(self) -> str:
        """Refuse a flight that does not exist."""
        if self.cleaned_data["flight"] == "none":
            raise forms.ValidationError("There is no such flight.")
        return str(self.cleaned_data["flight"])


class ReceiptForm(forms.Form):
    """The form for a refund of expenses."""

    euro = forms.DecimalField(min_value=0)
    receipt = forms.FileField(help_text="A table.")
    other = forms.FileField(required=False)

    def clean_receipt(self) -> Any:
        """Refuse all files but tables."""
        receipt = self.cleaned_data["receipt"]
        if b"," not in receipt.read():
            raise forms.ValidationError("That is no table.")
        return receipt


class Order(BaseModel):
    """The order that an agent wants to place."""

    supplier: Literal["Nuts", "Bolts"]
    pieces: int = Field(ge=1, le=500, description="In boxes of ten.")
    price: Decimal = Field(gt=0, title="Price in euro")
    to: list[str] = Field(title="Told to", description="An address a line.")
    letter: str
    express: bool = False


LEAVE = FormPrompt(LeaveForm, text="When are you off?", initial={"kind": "holiday"})
ARRIVAL = FormPrompt(
    ArrivalForm,
    text="When do you arrive?",
    initial={"at": datetime(2026, 12, 24, 20, tzinfo=UTC)},
    proposal=True,
)
RECEIPT = FormPrompt(ReceiptForm, text="What was it?", reject="Nothing")
ORDER = FormPrompt(
    Order,
    text="Order the parts?",
    initial=Order(
        supplier="Nuts",
        pieces=200,
        price=Decimal("3.20"),
        to=["ann@example.org", "bob@example.org"],
        letter="Dear Nuts,\nplease send 200 bolts.",
    ),
    proposal=True,
    submit="Order",
    reject="Do not order",
)
TOOL_CALL = ToolCallPrompt(
    text="May I order the parts?\nThe workshop runs out of them on Friday.",
    tool="order_parts",
    arguments={"supplier": "Nuts", "pieces": 200, "letter": "Dear Nuts,\nplease send 200 bolts."},
    input_schema={
        "type": "object",
        "properties": {
            "supplier": {"enum": ["Nuts", "Bolts"]},
            "pieces": {"type": "integer", "minimum": 1, "maximum": 500},
            "letter": {"type": "string", "pattern": "please"},
            "express": {"type": "boolean", "description": "Costs 5 € more."},
        },
        "required": ["supplier", "pieces", "letter"],
    },
    editable=True,
    answerable=True,
)

"""A type of prompt, and the template of its controls."""

from typing import Any, Literal

from django import forms

from chat_app.page.card_templates import register_template
from sessions_app.errors import Invalid
from sessions_app.prompts import Prompt, Response


class StarsPrompt(Prompt[Response]):
    """Asks for one to five stars."""

    input_type: Literal["shop_stars"] = "shop_stars"
    takes = "one to five stars"  # for the admin

    def from_text(self, text: str) -> dict[str, Any]:
        if text not in {"1", "2", "3", "4", "5"}:
            raise Invalid("Give one to five stars.")
        return {"value": int(text)}

    def answer_text(self, stored: dict[str, Any]) -> str:
        return "★" * int(stored["value"])

    def field(self) -> forms.Field:  # in the admin, and with others on one card
        return forms.ChoiceField(choices=[(star, "★" * star) for star in range(1, 6)])


register_template(StarsPrompt, "shop/stars.html")

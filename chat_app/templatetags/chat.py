"""The tags and filters of the chat's templates."""

from django import template

from chat_app.page.icons import icon
from chat_app.page.settings.preferences import PREFERENCES, SWITCHES
from sessions_app.interactions.pending_counts import CAP
from sessions_app.json_types import JsonObject

register = template.Library()
register.simple_tag(icon)


@register.filter
def capped(count: int) -> str:
    """Show a count: nothing is counted past CAP."""
    return str(count) if count < CAP else f"{CAP - 1}+"


@register.simple_tag(takes_context=True)
def preference(context: JsonObject, name: str) -> str:
    """Return the reader's choice of a preference."""
    [choice] = [option for option in (*PREFERENCES, *SWITCHES) if option.name == name]
    return choice.choice_of(context.get("request"))

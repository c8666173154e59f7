"""The tags and filters of the chat's templates."""

from django import template
from django.contrib.auth.base_user import AbstractBaseUser

from chat_app.inbox.pending_counts import CAP
from chat_app.page import entries
from chat_app.page.brand import version
from chat_app.page.icons import icon
from chat_app.page.settings.preferences import PREFERENCES, SWITCHES
from chat_app.settings import Brand, ChatSettings
from sessions_app.json_types import JsonObject
from sessions_app.models.people import full_name

register = template.Library()
register.simple_tag(icon)


@register.filter
def capped(count: int) -> str:
    """Format a count; from CAP on, only a lower bound such as "99+" is shown."""
    return str(count) if count < CAP else f"{CAP - 1}+"


@register.inclusion_tag("chat_app/parts/person.html")
def person(user: AbstractBaseUser) -> JsonObject:
    """Show the name of a user, if it is known, with a disc of the initials."""
    name = full_name(user)
    words = name.split()
    initials = "".join(word[0] for word in (words[:1] + words[1:][-1:])).upper()
    return {"name": name, "initials": initials}


@register.simple_tag
def brand() -> Brand:
    """Return the names and colours with which the project brands its pages."""
    return ChatSettings.load().BRAND


@register.simple_tag
def sidebar_entries() -> list[entries.MenuEntry]:
    """List the sidebar entries that applications offer now."""
    return entries.sidebar_entries.offered()


@register.simple_tag
def settings_entries() -> list[entries.MenuEntry]:
    """List the entries that applications offer in the settings now."""
    return entries.settings_entries.offered()


@register.filter
def sheet_version(brand: Brand) -> str:
    """Return the version of the brand's style sheet; empty if there is none."""
    return version(brand.accent) if brand.accent else ""


@register.simple_tag(takes_context=True)
def preference(context: JsonObject, name: str) -> str:
    """Return the reader's choice of a preference."""
    [choice] = [option for option in (*PREFERENCES, *SWITCHES) if option.name == name]
    return choice.choice_of(context.get("request"))

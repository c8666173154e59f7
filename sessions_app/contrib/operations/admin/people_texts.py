"""The texts that name people: who somebody is, and who may answer a prompt."""

from collections.abc import Iterable, Sequence
from typing import Any

from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.utils.html import format_html, format_html_join
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from sessions_app.contrib.operations.admin.read_only import USERNAME
from sessions_app.interactions.answerers import PromptAudience, answerers, have_groups
from sessions_app.models import Candidate, Interaction
from sessions_app.models.people import Person, UserId, read_user_id, users

PEOPLE_SHOWN = 20


def display_name(user: Any) -> str:
    """Name a user by their full name, with the user name behind it."""
    person = Person.of(user)
    return f"{person.name} ({person.username})" if person.name else person.username


def display_names(keys: Iterable[str]) -> dict[str, str]:
    """Return the names of users by their primary keys, as texts; who is gone is left out."""
    ids = []
    for key in set(keys):
        try:
            ids.append(read_user_id(key))
        except ValidationError:
            continue
    return {str(user.pk): display_name(user) for user in users().filter(pk__in=ids)}


@admin.display(description=_("who can answer now"))
def who_can_answer(interaction: Interaction) -> str:
    """List the people who may answer a pending prompt, with the groups by which they may."""
    if interaction.status != Interaction.Status.PENDING:
        return ""
    able = users().filter(pk__in=answerers(PromptAudience.of(interaction)))
    people = list(able.order_by(USERNAME)[: PEOPLE_SHOWN + 1])
    if not people:
        nobody = gettext("nobody: reassign it, or escalate it")
        return format_html('<span class="wrong">{}</span>', nobody)
    groups = _asked_groups(interaction, people)
    lines = [(display_name(person), ", ".join(groups.get(person.pk, ()))) for person in people]
    shown = format_html_join("", "<li>{} <small>{}</small></li>", lines[:PEOPLE_SHOWN])
    more = _count_more(able) if lines[PEOPLE_SHOWN:] else ""
    return format_html("{}<ul>{}</ul>{}", _claim(interaction), shown, more)


def _asked_groups(interaction: Interaction, people: Sequence[Any]) -> dict[UserId, list[str]]:
    """Return which of the groups that are asked each of the people is in."""
    by_person: dict[UserId, list[str]] = {}
    if have_groups():
        asked = Candidate.objects.filter(interaction=interaction, group__isnull=False)
        members = users().filter(
            pk__in=[person.pk for person in people], groups__in=asked.values("group")
        )
        for person, group in members.order_by("groups__name").values_list("pk", "groups__name"):
            by_person.setdefault(person, []).append(group)
    return by_person


def _count_more(able: QuerySet[Any]) -> str:
    return gettext("and %(count)s more") % {"count": able.count() - PEOPLE_SHOWN}


def _claim(interaction: Interaction) -> str:
    if interaction.assignee is None:
        return ""
    words = gettext("%(name)s has claimed it: the others may answer once it is released.")
    return words % {"name": display_name(interaction.assignee)}

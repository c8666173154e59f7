"""The people to whom a prompt can be handed on, found by their names. Everything here blocks.

A search reads all users: never within a write. Guests are found by no name.
"""

from typing import Any

from django.db.models import Q, QuerySet
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from sessions_app.errors import Invalid
from sessions_app.interactions.answerers import active_users, answerers, is_active
from sessions_app.interactions.settlement import InteractionRecord
from sessions_app.models import Vote
from sessions_app.models.people import Person, UserId, guests, is_guest, users
from sessions_app.prompts.assignment import Assignment
from sessions_app.storage.storable import is_storable

MOST_FOUND = 10
SHORTEST = 2  # characters: fewer would find everybody
MOST_ALIKE = 50  # people of one name among whom it is looked for
LONGEST = 150  # characters
MOST_WORDS = 5  # each costs a look at all users
# People with such a name who are asked whether they may answer: a permission may cost two queries.
MOST_ASKED = 1000
NAMES = ("first_name", "last_name")


def find_delegates(prompt: InteractionRecord, query: str, *, by: UserId) -> list[Person]:
    """Find the people with such a name to whom this person can hand the prompt on, the first few.

    Each word of the query is the beginning of a user name, or of a word of a person's name.
    """
    if len(query.strip()) < SHORTEST or not is_storable(query):
        return []
    voters = Vote.objects.filter(interaction=prompt.id).values("by")
    rows = _find_named(prompt, query, ~Q(pk=by)).exclude(pk__in=voters)
    return [Person.of(row) for row in rows[:MOST_FOUND] if is_active(row)]


def find_delegate(prompt: InteractionRecord, name: str) -> Person:
    """Return the user of this user name, or else the one person of this name, in any case.

    Raises:
        Invalid: there is none, or there are several; says who.
    """
    if not name.strip() or not is_storable(name) or is_guest(name):
        raise nobody(name)
    row = users().filter(**{users().model.USERNAME_FIELD: name}).first()
    if row is not None and is_active(row):
        return Person.of(row)
    people = [Person.of(row) for row in _find_named(prompt, name)[:MOST_ALIKE]]
    namesakes = [
        person for person in people if _folded(name) in map(_folded, (person.name, person.username))
    ]
    if len(namesakes) > 1:
        names = ", ".join(person.username for person in namesakes)
        text = _("Several people are called “{name}”. Write one of their user names: {names}")
        raise Invalid(format_lazy(text, name=name[:100], names=names))
    if not namesakes:
        raise nobody(name)
    return namesakes[0]


def is_closed(prompt: InteractionRecord) -> bool:
    """Return whether a prompt stays among its candidates: one person could be several users."""
    rules = Assignment.model_validate(prompt.assignment)
    return rules.four_eyes or rules.votes > 1


def nobody(name: str) -> Invalid:
    """Return the error that there is no user of a name."""
    return Invalid(format_lazy(_("There is no user “{name}”."), name=name[:100]))


def _folded(name: str) -> str:
    return " ".join(name.split()).casefold()


def _find_named(prompt: InteractionRecord, name: str, condition: Q | None = None) -> QuerySet[Any]:
    """Find the active people of such a name to whom the prompt can go, by user name."""
    condition = _has_name(name[:LONGEST]) & ~guests() & (condition or Q())
    if is_closed(prompt):
        able = answerers(prompt.audience, matching=condition, most=MOST_ASKED)
        condition &= Q(pk__in=able)
    return active_users().filter(condition).order_by(users().model.USERNAME_FIELD)


def _has_name(query: str) -> Q:
    """Build the condition on people that each of the first words begins a word of their names."""
    model = users().model
    columns = {field.name for field in model._meta.concrete_fields}  # noqa: SLF001 - Django's documented _meta
    condition = Q()
    for word in query.split()[:MOST_WORDS]:
        word_condition = Q(**{f"{model.USERNAME_FIELD}__istartswith": word})
        for name in columns.intersection(NAMES):
            word_condition |= Q(**{f"{name}__istartswith": word})
            word_condition |= Q(**{f"{name}__icontains": f" {word}"})
        condition &= word_condition
    return condition

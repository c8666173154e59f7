"""The people to whom a prompt can be handed on, found by their names. Everything here blocks."""

from django.db.models import Q
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from sessions_app.errors import Invalid
from sessions_app.interactions.answerers import active_users, answerers, is_active
from sessions_app.interactions.settlement import InteractionRecord
from sessions_app.models import Vote
from sessions_app.models.people import Person, UserId, users
from sessions_app.prompts.assignment import Assignment
from sessions_app.storage.storable import is_storable

MOST_FOUND = 10
SHORTEST = 2  # characters: fewer would find everybody
MOST_ALIKE = 50  # people of one name among whom it is looked for
LONGEST = 150  # characters
NAMES = ("first_name", "last_name")


def find_delegates(prompt: InteractionRecord, query: str, *, by: UserId) -> list[Person]:
    """Find the people with such a name to whom this person can hand the prompt on, the first few.

    Each word of the query is the beginning of a user name, or of a word of a person's name.
    """
    if len(query.strip()) < SHORTEST or not is_storable(query):
        return []
    condition = _has_name(query[:LONGEST]) & ~Q(pk=by)
    if is_closed(prompt):
        condition &= Q(pk__in=answerers(prompt.audience, matching=condition))
    voters = Vote.objects.filter(interaction=prompt.id).values("by")
    rows = active_users().filter(condition).exclude(pk__in=voters)
    rows = rows.order_by(users().model.USERNAME_FIELD)
    return [Person.of(row) for row in rows[:MOST_FOUND] if is_active(row)]


def find_delegate(prompt: InteractionRecord, name: str) -> Person:
    """Return the user of this user name, or else the one person of this name, in any case.

    Raises:
        Invalid: there is none, or there are several; says who.
    """
    if not name.strip() or not is_storable(name):
        raise _nobody(name)
    row = users().filter(**{users().model.USERNAME_FIELD: name}).first()
    if row is not None and is_active(row):
        return Person.of(row)
    condition = _has_name(name[:LONGEST])
    if is_closed(prompt):
        condition &= Q(pk__in=answerers(prompt.audience, matching=condition))
    rows = active_users().filter(condition).order_by(users().model.USERNAME_FIELD)
    people = [Person.of(row) for row in rows[:MOST_ALIKE]]
    namesakes = [
        person for person in people if _folded(name) in map(_folded, (person.name, person.username))
    ]
    if len(namesakes) > 1:
        names = ", ".join(person.username for person in namesakes)
        text = _("Several people are called “{name}”. Write one of their user names: {names}")
        raise Invalid(format_lazy(text, name=name[:100], names=names))
    if not namesakes:
        raise _nobody(name)
    return namesakes[0]


def is_closed(prompt: InteractionRecord) -> bool:
    """Return whether a prompt stays among its candidates: one person could be several users."""
    rules = Assignment.model_validate(prompt.assignment)
    return rules.four_eyes or rules.votes > 1


def _nobody(name: str) -> Invalid:
    return Invalid(format_lazy(_("There is no user “{name}”."), name=name[:100]))


def _folded(name: str) -> str:
    return " ".join(name.split()).casefold()


def _has_name(query: str) -> Q:
    """Build the condition on people that each word begins a word of their names."""
    model = users().model
    columns = {field.name for field in model._meta.concrete_fields}  # noqa: SLF001 - Django's documented _meta
    condition = Q()
    for word in query.split():
        word_condition = Q(**{f"{model.USERNAME_FIELD}__istartswith": word})
        for name in columns.intersection(NAMES):
            word_condition |= Q(**{f"{name}__istartswith": word})
            word_condition |= Q(**{f"{name}__icontains": f" {word}"})
        condition &= word_condition
    return condition

"""Facts about users, of any user model, and about Django's sessions, for the runtime."""

import re
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeAlias
from uuid import UUID

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.base_session import AbstractBaseSession
from django.db import DEFAULT_DB_ALIAS, models

# A user's primary key, as passed in by a project's code, of any type that a user model may have.
AnyUserId: TypeAlias = int | str | UUID
# A user's primary key within the runtime; 0 means no user. Django's stubs take its type from the
# type-checked project's user model, an integer; a union would fit no lookup. At run time, code that
# inspects annotations, such as of a recorded history, gets the union.
if TYPE_CHECKING:
    UserId: TypeAlias = int
else:
    UserId = AnyUserId
PLAIN = re.compile(r"[A-Za-z0-9_-]{1,64}")
GUEST_PREFIX = "guest-"
GUEST = re.compile(rf"{GUEST_PREFIX}[0-9a-f]{{40}}")


@dataclass(frozen=True, slots=True)
class Person:
    """A user: the owner of a conversation, or a person who answers. `id` is the primary key."""

    id: UserId
    username: str
    name: str = ""
    email: str = ""

    @classmethod
    def of(cls, user: AbstractBaseUser) -> "Person":
        """Return the person for a Django user, of any user model.

        Raises:
            TypeError: the argument is no user.
        """
        if not isinstance(user, AbstractBaseUser):
            raise TypeError(
                f"This needs a user, such as User.objects.get(username=…), not a "
                f"{type(user).__name__}: {user!r}."
            )
        full_name = getattr(user, "get_full_name", str)
        email = getattr(user, user.get_email_field_name(), "")
        return cls(user.pk, str(user.get_username()), full_name(), email or "")


def full_name(user: AbstractBaseUser) -> str:
    """Return the full name of a user, or the user name if there is none."""
    person = Person.of(user)
    return person.name or person.username


def name_of(user: AnyUserId) -> str:
    """Return a user's id for use in names of keys and groups: letters, digits, `-` and `_`."""
    text = str(user)
    return text if PLAIN.fullmatch(text) else sha256(text.encode()).hexdigest()


def read_user_id(value: object) -> Any:
    """Convert a column's value or a text to the type of a user's primary key; None stays None."""
    if value is None:
        return None
    return _primary_key().to_python(value)


@cache
def _primary_key() -> "models.Field[Any, Any]":
    key: models.Field[Any, Any] = get_user_model()._meta.pk  # noqa: SLF001 - Django's documented _meta
    return key


def users() -> models.Manager[Any]:
    """Return the default manager of the user model, whatever its name, for the primary database.

    A replica may lack a user who was just created, or whom an operator has just deactivated.
    """
    manager = get_user_model()._default_manager  # noqa: SLF001 - documented, as _meta
    return manager.db_manager(DEFAULT_DB_ALIAS)


def is_guest(username: str) -> bool:
    """Return whether a username is that of a guest, created by a client's own token."""
    return GUEST.fullmatch(username) is not None


def called(username: str | None) -> str:
    """Name a user as the subject of an English sentence; a guest is "A guest"."""
    if not username:
        return "Somebody"
    return "A guest" if is_guest(username) else username


def guests() -> models.Q:
    """Build the condition that a user is a guest."""
    name = get_user_model().USERNAME_FIELD
    # Filter by prefix first, because SQLite calls a Python function for each regular expression.
    return models.Q(**{f"{name}__startswith": GUEST_PREFIX, f"{name}__regex": f"^{GUEST.pattern}$"})


def session_model() -> type[AbstractBaseSession] | None:
    """Return the model of Django's sessions, or None if they are not stored in a table."""
    store = import_module(settings.SESSION_ENGINE).SessionStore
    if not issubclass(store, SessionStore):
        return None
    try:
        rows: type[AbstractBaseSession] = store.get_model_class()
    except RuntimeError:  # no sessions: django.contrib.sessions is not installed
        return None
    return rows

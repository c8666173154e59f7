"""The facts about users, of whatever model, and about Django's sessions that the runtime needs."""

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
from django.db import models

# A primary key, as the code of a project names a user.
AnyUserId: TypeAlias = int | str | UUID
# The same inside; 0 is nobody's. The types of Django's models take for granted that users are those
# of the project that is checked, which have numbers: the union would fit no lookup. What is read
# by its types when it runs, such as a recorded history, has it, though.
if TYPE_CHECKING:
    UserId: TypeAlias = int
else:
    UserId = AnyUserId
PLAIN = re.compile(r"[A-Za-z0-9_-]{1,64}")
GUEST_PREFIX = "guest-"
GUEST = re.compile(rf"{GUEST_PREFIX}[0-9a-f]{{40}}")


@dataclass(frozen=True, slots=True)
class Person:
    """A user: the owner of a conversation, or who answers. `id` is the primary key."""

    id: UserId
    username: str
    name: str = ""
    email: str = ""

    @classmethod
    def of(cls, user: AbstractBaseUser) -> "Person":
        """Return the person behind Django's user, of whatever model.

        Raises:
            TypeError: it is no user.
        """
        if not isinstance(user, AbstractBaseUser):
            raise TypeError(
                f"This needs a user, such as User.objects.get(username=…), not a "
                f"{type(user).__name__}: {user!r}."
            )
        full_name = getattr(user, "get_full_name", str)
        email = getattr(user, user.get_email_field_name(), "")
        return cls(user.pk, str(user.get_username()), full_name(), email or "")


def name_of(user: AnyUserId) -> str:
    """Return the user's part in names of keys and groups: letters, digits, `-` and `_` only."""
    text = str(user)
    return text if PLAIN.fullmatch(text) else sha256(text.encode()).hexdigest()


def read_user_id(value: object) -> Any:
    """Read a primary key of a user from its column, or from a text; None stays None."""
    if value is None:
        return None
    return _primary_key().to_python(value)


@cache
def _primary_key() -> "models.Field[Any, Any]":
    key: models.Field[Any, Any] = get_user_model()._meta.pk  # noqa: SLF001 - Django's documented _meta
    return key


def users() -> models.Manager[Any]:
    """Return the manager of all users; their model may call it what it likes."""
    return get_user_model()._default_manager  # noqa: SLF001 - documented, as _meta


def is_guest(username: str) -> bool:
    """Return whether a user of that name is a guest, whom a token of a client's own has made."""
    return GUEST.fullmatch(username) is not None


def called(username: str | None) -> str:
    """Return how an English sentence begins that says what the user did; a guest has no name."""
    if not username:
        return "Somebody"
    return "A guest" if is_guest(username) else username


def guests() -> models.Q:
    """Build the condition that a user is a guest."""
    name = get_user_model().USERNAME_FIELD
    # The prefix first, which costs less: SQLite calls Python for each regular expression.
    return models.Q(**{f"{name}__startswith": GUEST_PREFIX, f"{name}__regex": f"^{GUEST.pattern}$"})


def session_model() -> type[AbstractBaseSession] | None:
    """Return the model of Django's sessions; None where the project keeps its sessions
    elsewhere.
    """
    store = import_module(settings.SESSION_ENGINE).SessionStore
    if not issubclass(store, SessionStore):
        return None
    try:
        rows: type[AbstractBaseSession] = store.get_model_class()
    except RuntimeError:  # the application of that model is not installed
        return None
    return rows

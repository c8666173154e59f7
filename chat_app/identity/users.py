"""Django's users, found or made by name."""

from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.hashers import make_password

from chat_app.identity.errors import NotAllowed
from sessions_app import database
from sessions_app.event_log import Transaction, writer

LONGEST_NAME = 150


async def find(username: str) -> Any:
    """The active user of that name.

    Raises:
        NotAllowed: there is none.
    """
    return _active(await database.read(_find, username))


async def find_or_create(username: str) -> Any:
    """The active user of that name, made without a usable password if there is none.

    Raises:
        NotAllowed: the user was deactivated.
    """
    user = await database.read(_find, username)
    return _active(user or await writer.write(lambda tx: _create(tx, username)))


def _find(username: str) -> Any:
    return get_user_model().objects.filter(**{get_user_model().USERNAME_FIELD: username}).first()


def _create(tx: Transaction, username: str) -> Any:
    users = get_user_model()
    user, _ = users.objects.get_or_create(
        **{users.USERNAME_FIELD: username}, defaults={"password": make_password(None)}
    )
    return user


def _active(user: Any) -> Any:
    if user is None or not user.is_active:
        raise NotAllowed("Whoever these credentials belong to may not come in here.")
    return user

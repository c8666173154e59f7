"""The revocation of identities: all processes check whether a user's sockets may stay open.

Django's signals send a message to the user's group: a session or the user was deleted, the user was
deactivated, the password changed, an API key was revoked. The message is a hint: the sockets read
the database, and the sweeper makes them do so even if the hint was lost.
"""

from contextlib import suppress
from functools import partial
from typing import Any

from django.contrib.auth import SESSION_KEY, get_user_model
from django.contrib.sessions.base_session import AbstractBaseSession
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models.signals import post_delete, post_save

from chat_app.models import ApiKey
from sessions_app.logs import Log
from sessions_app.models.people import UserId, name_of, read_user_id, session_model
from sessions_app.notify import notifier

log = Log(__name__)

CHECK = "identity.check"
# The fields of a user that can end an identity.
FIELDS = frozenset({"is_active", "password"})


def group_of(user: UserId) -> str:
    """Return the name of the group of a user's sockets."""
    return f"user.{name_of(user)}"


def connect() -> None:
    users: Any = get_user_model()
    post_save.connect(_user_saved, sender=users, dispatch_uid="revocation.user_saved")
    post_delete.connect(_user_deleted, sender=users, dispatch_uid="revocation.user_deleted")
    if rows := session_model():
        post_delete.connect(_session_deleted, sender=rows, dispatch_uid="revocation.session")
    post_save.connect(_key_saved, sender=ApiKey, dispatch_uid="revocation.key")
    post_delete.connect(_key_deleted, sender=ApiKey, dispatch_uid="revocation.key")


def _user_saved(
    instance: Any, created: bool, update_fields: frozenset[str] | None, **_: Any
) -> None:
    if not created and (update_fields is None or FIELDS & update_fields):
        _notify(instance.pk)


def _user_deleted(instance: Any, **_: Any) -> None:
    _notify(instance.pk)


def _session_deleted(instance: AbstractBaseSession, **_: object) -> None:
    user = instance.get_decoded().get(SESSION_KEY)
    with suppress(ValidationError):  # ignore the user id of a former user model
        if (pk := read_user_id(user)) is not None:
            _notify(pk)


def _key_saved(instance: ApiKey, **_: object) -> None:
    if instance.revoked_at is not None:
        _notify(instance.user_id)


def _key_deleted(instance: ApiKey, **_: object) -> None:
    _notify(instance.user_id)


def _notify(user: UserId) -> None:
    transaction.on_commit(partial(_send, user))


def _send(user: UserId) -> None:
    try:
        notifier.send_from_thread(group_of(user), {"type": CHECK})
    except Exception as error:  # noqa: BLE001 - the sweeper checks identities anyway
        log.warning("revocation.not_sent", user=user, error=repr(error))

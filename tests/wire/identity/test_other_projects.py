"""Identities where a project has its own kind of users, and keeps sessions where it likes."""

import re
from importlib import import_module
from typing import Any, cast
from uuid import UUID, uuid4

import pytest
from django.contrib.auth.models import User
from django.contrib.sessions.backends.base import SessionBase
from django.contrib.sessions.backends.db import SessionStore
from django.db import connection
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings

from chat_app.identity import Identity, revocation, still_valid
from sessions_app.lifecycle import retention
from sessions_app.models.people import Person, UserId, name_of, session_model
from sessions_app.storage.transaction import Transaction
from sessions_app.workflows.request_context import identify

pytestmark = pytest.mark.django_db
ENGINES = ("db", "cached_db", "cache", "file", "signed_cookies")


@pytest.fixture
def ann() -> User:
    return User.objects.create_user("ann", password="secret")


def session(settings: Settings, engine: str) -> SessionBase:
    settings.SESSION_ENGINE = f"django.contrib.sessions.backends.{engine}"
    store: SessionBase = import_module(settings.SESSION_ENGINE).SessionStore()
    store["anything"] = 1
    store.save()
    return store


@pytest.mark.parametrize("engine", ENGINES)
def test_a_session_lives_wherever_it_is_kept(
    settings: Settings, ann: User, tmp_path: Any, engine: str
) -> None:
    settings.SESSION_FILE_PATH = str(tmp_path)
    stored_session = session(settings, engine)
    identity = Identity.of(ann, session=stored_session.session_key)
    assert still_valid([identity]) == {identity}
    stored_session.delete()
    assert still_valid([identity]) == ({identity} if engine == "signed_cookies" else set())


@pytest.mark.parametrize("engine", ["db", "cached_db"])
def test_sessions_in_a_table_take_one_query(settings: Settings, ann: User, engine: str) -> None:
    identities = [Identity.of(ann, session=session(settings, engine).session_key) for _ in range(3)]
    with CaptureQueriesContext(connection) as queries:
        assert still_valid(identities) == set(identities)
    assert len(queries) == 2  # the users and the sessions


@pytest.mark.parametrize("engine", ["cache", "file", "signed_cookies"])
def test_sessions_elsewhere_need_no_table(settings: Settings, engine: str) -> None:
    settings.SESSION_ENGINE = f"django.contrib.sessions.backends.{engine}"
    assert session_model() is None
    with CaptureQueriesContext(connection) as queries:
        assert retention._delete_sessions(Transaction()) == 0
    assert len(queries) == 0


def test_sessions_may_not_be_installed_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent() -> None:
        raise RuntimeError("Model class Session isn't in an application in INSTALLED_APPS.")

    monkeypatch.setattr(SessionStore, "get_model_class", absent)
    assert session_model() is None
    assert retention._delete_sessions(Transaction()) == 0


@pytest.mark.parametrize(
    "key", [7, UUID(int=7), "ann", "ann@host.example", "a:b", "ü" * 300, "", "x" * 65]
)
def test_any_primary_key_makes_a_name_for_keys_and_groups(key: Any) -> None:
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name_of(key))
    assert re.fullmatch(r"[A-Za-z0-9_.-]{1,99}", revocation.group_of(key))
    assert name_of(key) != name_of(str(key) + "x")


async def test_the_session_of_a_user_with_any_key_knows_its_person() -> None:
    person = Person(cast("UserId", uuid4()), "ann@host.example")
    assert await identify(None, person, None) == (str(person.id), person)
    assert await identify(person.id, None, None) == (
        str(person.id),
        Person(cast("UserId", str(person.id)), str(person.id)),
    )

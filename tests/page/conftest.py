"""A person, their browser, and a conversation of theirs."""

from collections.abc import Iterator

import pytest
from django.contrib.auth.models import User
from django.test import AsyncClient

from sessions_app.models import Run
from sessions_app.storage.writer import writer
from tests.support.database.stored_log import StoredLog


@pytest.fixture
def ann() -> User:
    """Return a user, in the database of the test."""
    return User.objects.create_user("ann")


@pytest.fixture
def client(ann: User) -> Iterator[AsyncClient]:
    """Yield what ann asks the pages with; the writer that it needed ends with the test."""
    client = AsyncClient()
    client.force_login(ann)
    yield client
    writer.stop()


@pytest.fixture
def log(ann: User) -> StoredLog:
    """Return the conversation `c` of ann, made of rows."""
    return StoredLog(ann)


@pytest.fixture
def run(log: StoredLog) -> Run:
    """Return the run of a first message, which is at work."""
    return log.message()

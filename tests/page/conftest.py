"""A person, their browser, and a conversation of theirs; and a check of all that is rendered."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.template.backends.django import Template
from django.test import AsyncClient
from django.utils.formats import localize

from sessions_app.models import Run
from sessions_app.storage.writer import writer
from tests.support.database.stored_log import StoredLog

# A character that stands for "a project's settings may write this number with separators".
LOCALIZED = "\ue000"
IN_ATTRIBUTE = re.compile(rf'\s([\w-]+)="[^"<>]*{LOCALIZED}[^"]*"')
FOR_PEOPLE = {"aria-label", "title", "placeholder", "alt"}


@pytest.fixture(autouse=True)
def numbers_for_programs(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fail the test if a template localizes a number in an attribute that a program reads."""
    render = Template.render
    faults: set[str] = set()

    def marked(value: Any, use_l10n: bool | None = None) -> Any:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        mark = LOCALIZED if is_number and use_l10n is not False else ""
        return f"{mark}{localize(value, use_l10n)}" if mark else localize(value, use_l10n)

    def checked(self: Any, *args: Any, **names: Any) -> Any:
        html = render(self, *args, **names)
        if not self.template.name.startswith("admin/"):  # most of it is Django's
            faults.update(m[0] for m in IN_ATTRIBUTE.finditer(html) if m[1] not in FOR_PEOPLE)
        return type(html)(html.replace(LOCALIZED, ""))

    monkeypatch.setattr("django.template.base.localize", marked)
    monkeypatch.setattr(Template, "render", checked)
    yield
    written = sorted(fault.replace(LOCALIZED, "") for fault in faults)
    assert not faults, f"numbers that need |unlocalize: {written}"


@pytest.fixture
def ann() -> User:
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

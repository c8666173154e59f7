"""What every address has in common."""

import re

import pytest
from django.contrib.auth.models import User
from django.test import Client

from tests.security import doors

pytestmark = pytest.mark.django_db(transaction=True)
UUID = "00000000-0000-4000-8000-000000000000"
# What the admin redirects to before it looks: an address without a slash, a row's own page.
PARAMETERS = {"app_label": "sessions_app"}


def paths() -> list[str]:
    """Each address, with something in the place of its parameters."""
    return [
        re.sub(r"<(\w+)>", lambda name: PARAMETERS.get(name[1], UUID), path)
        for path in sorted(doors.addresses())
    ]


@pytest.fixture
def admin() -> User:
    return User.objects.create_superuser("admin")


def test_no_address_takes_a_post_without_a_csrf_token(admin: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(admin)
    taken = {path: client.post(path, {"x": 1}).status_code for path in paths()}
    assert len(taken) > 80
    assert {path: status for path, status in taken.items() if status not in (403, 405)} == {}


def test_no_address_sends_back_what_a_trace_brings(admin: User) -> None:
    client = Client(headers={"x-secret": "PLUM-7431"})
    client.force_login(admin)
    said = {path: client.generic("TRACE", path).content for path in paths()}
    assert [path for path, content in said.items() if b"PLUM-7431" in content] == []

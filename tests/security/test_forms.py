"""Tests of what every address has in common: forms, methods and headers."""

import re

import pytest
from django.contrib.auth.models import User
from django.test import Client

from tests.security import doors

pytestmark = pytest.mark.django_db(transaction=True)
UUID = "00000000-0000-4000-8000-000000000000"
# What the admin redirects to before it looks: an address without a slash, a row's own page.
PARAMETERS = {"app_label": "sessions_app", "first": "1"}


def paths() -> list[str]:
    """Return each address, with something in the place of its parameters."""
    return [
        re.sub(r"<(\w+)>", lambda name: PARAMETERS.get(name[1], UUID), path)
        for path in sorted(doors.addresses())
    ]


@pytest.fixture
def admin() -> User:
    return User.objects.create_superuser("admin")


@pytest.mark.slow
def test_no_address_takes_a_post_without_a_csrf_token(admin: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(admin)
    # Nobody's cookies count there: the address itself is what one must know.
    known = ("/callbacks/", "/unsubscribe/")
    # What is no address of the interface: not found, whoever asks and however.
    nowhere = f"/{UUID}"
    checked_paths = [path for path in paths() if path != nowhere and not path.startswith(known)]
    status_by_path = {path: client.post(path, {"x": 1}).status_code for path in checked_paths}
    assert len(status_by_path) > 80
    assert {
        path: status for path, status in status_by_path.items() if status not in (403, 405)
    } == {}


@pytest.mark.slow
def test_no_address_sends_back_what_a_trace_brings(admin: User) -> None:
    client = Client(headers={"x-secret": "PLUM-7431"})
    client.force_login(admin)
    content_by_path = {path: client.generic("TRACE", path).content for path in paths()}
    assert [path for path, content in content_by_path.items() if b"PLUM-7431" in content] == []


@pytest.mark.slow
def test_each_answer_says_what_it_is_and_what_a_browser_may_do_with_it(admin: User) -> None:
    client = Client()
    client.force_login(admin)
    wrong = []
    for path in [*paths(), "/nothing/here", "/static/nothing.js"]:
        answer = client.get(path)
        kind = answer.headers.get("Content-Type", "")
        policy = answer.headers.get("Content-Security-Policy", "")
        rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";") if rule.strip())
        none = [rules.get(name) for name in ("object-src", "base-uri", "frame-ancestors")]
        if (
            none != ["'none'"] * 3
            or "unsafe" in policy
            or answer.headers.get("X-Content-Type-Options") != "nosniff"
            or answer.headers.get("Referrer-Policy") != "same-origin"
            or (kind.startswith("text/") and "utf-8" not in kind)
            or (not kind and answer.status_code not in (301, 302))
            or "Access-Control-Allow-Origin" in answer.headers
        ):
            wrong.append((path, answer.status_code, kind, policy))
    assert wrong == []

"""Signing in and out: sessions, passwords, and where it leads."""

import re
from typing import Any

import pytest
from django.conf import global_settings
from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.test import Client
from sesame.utils import get_query_string

import natproject.settings
from natproject.management.commands.serve import first_user

pytestmark = pytest.mark.django_db(transaction=True)

PASSWORD = "correct horse battery"
ELSEWHERE = ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)"]


@pytest.fixture
def ann() -> User:
    return User.objects.create_user("ann", password=PASSWORD)


def sign_in(client: Client, username: str = "ann", password: str = PASSWORD, **more: str) -> Any:
    return client.post("/sign-in/", {"username": username, "password": password, **more})


@pytest.mark.parametrize("way", ["password", "link"])
def test_signing_in_begins_a_new_session(ann: User, way: str) -> None:
    client = Client()
    session = client.session
    session["seen"] = True
    session.save()
    before = session.session_key
    if way == "password":
        sign_in(client)
    else:
        client.post("/sign-in/link/" + get_query_string(ann))
    after = client.session.session_key
    assert after not in (None, before)
    assert list(Session.objects.values_list("session_key", flat=True)) == [after]
    assert client.get("/c/").status_code == 302
    assert "/c/" in client.get("/c/")["Location"]


@pytest.mark.parametrize("to", ELSEWHERE)
def test_nothing_leads_to_another_site(ann: User, to: str) -> None:
    link = "/sign-in/link/" + get_query_string(ann)
    answers = [
        Client().post(link, {"next": to}, follow=False),
        Client().post(link + "&next=" + to),
        sign_in(Client(), next=to),
        Client().post("/sign-in/?next=" + to, {"username": "ann", "password": PASSWORD}),
    ]
    client = Client()
    client.force_login(ann)
    answers += [client.get("/sign-in/", {"next": to}), client.post("/sign-out/", {"next": to})]
    for answer in answers:
        assert answer.status_code == 302
        assert re.match(r"/(?![/\\])", answer["Location"]), answer["Location"]
        assert "evil" not in answer["Location"]


def test_a_link_signs_in_who_presses_its_button_and_nobody_who_opens_it(ann: User) -> None:
    link = f"/sign-in/link/{get_query_string(ann)}&next=/settings/"
    for method in ("get", "head", "get"):
        scanner = Client()
        assert getattr(scanner, method)(link).status_code == 200
        assert "sessionid" not in scanner.cookies
    person = Client(enforce_csrf_checks=True)
    opened = person.get(link)
    assert opened["Referrer-Policy"] == "strict-origin"
    page = opened.content.decode()
    assert "ann" in page
    assert person.post(link).status_code == 403
    [token] = re.findall(r'name="csrfmiddlewaretoken" value="(\w+)"', page)
    assert person.post(link, {"csrfmiddlewaretoken": token})["Location"] == "/settings/"
    assert person.get("/settings/").context["user"] == ann
    for method in ("get", "post"):
        assert getattr(Client(), method)(link)["Location"] == "/sign-in/?link=failed"


@pytest.mark.parametrize("to", ["/sign-in/", "/sign-in/?next=/sign-in/", "/sign-out/"])
def test_a_signed_in_person_is_not_led_to_sign_in_or_out_again(ann: User, to: str) -> None:
    client = Client()
    assert sign_in(client, next=to)["Location"] == "/"
    assert client.get("/sign-in/", {"next": to})["Location"] == "/"


def test_a_signed_out_session_cannot_be_used(ann: User) -> None:
    client = Client()
    sign_in(client)
    session_key = client.cookies["sessionid"].value
    answer = client.post("/sign-out/")
    assert answer["Clear-Site-Data"] == '"storage"'
    client.cookies["sessionid"] = session_key
    assert client.get("/c/")["Location"].startswith("/sign-in/")
    assert not Session.objects.exists()


def test_nobody_learns_who_has_an_account(ann: User) -> None:
    User.objects.create_user("gone", password=PASSWORD, is_active=False)
    User.objects.create_user("link-only")
    tries = [("ann", "wrong"), ("nobody", "wrong"), ("gone", PASSWORD), ("link-only", "")]
    tries += [("link-only", "wrong")]
    answers = set()
    for name, password in tries:
        answer = sign_in(Client(), name, password or " ")
        text = re.sub(r'name="csrfmiddlewaretoken"[^>]*', "", answer.content.decode())
        answers.add((answer.status_code, text.replace(f'value="{name}"', "")))
    assert len(answers) == 1


NEW = ("old_password", "new_password1", "new_password2")


@pytest.mark.parametrize(
    ("password", "is_accepted"),
    [
        ("seven77", False),
        ("password1", False),
        ("ann-marie", False),
        ("only letters", True),
        ("739184620573", True),
        ("пароль из слов", True),
        (" spaces count ", True),
        ("x" * 63 + "Y", True),
        ("one word after the other " * 10, True),
    ],
)
def test_a_password_is_long_and_not_well_known_and_else_what_one_likes(
    ann: User, password: str, is_accepted: bool
) -> None:
    ann.username = "ann-marie"
    ann.save()
    client = Client()
    client.force_login(ann)
    answer = client.post("/password/", dict(zip(NEW, (PASSWORD, password, password), strict=True)))
    assert (answer.status_code == 302) == is_accepted
    assert (sign_in(Client(), "ann-marie", password).status_code == 302) == is_accepted
    for other in {password.upper(), password[:-1]} - {password}:
        assert sign_in(Client(), "ann-marie", other).status_code == 200


def test_a_change_of_the_password_needs_the_old_one_and_ends_the_other_sessions(ann: User) -> None:
    here, there = Client(), Client()
    for client in (here, there):
        sign_in(client)
    new = "another horse battery"
    response = here.post("/password/", dict(zip(NEW, ("wrong", new, new), strict=True)))
    assert "incorrect" in response.content.decode()
    here.post("/password/", dict(zip(NEW, (PASSWORD, new, new), strict=True)))
    assert "sign-in" not in here.get("/c/")["Location"]
    assert "sign-in" in there.get("/c/")["Location"]


def test_who_has_no_password_is_told_how_to_get_one_instead_of_asked_for_it(ann: User) -> None:
    ann.set_unusable_password()
    ann.save()
    client = Client()
    client.post("/sign-in/link/" + get_query_string(ann))
    page = client.get("/password/").content.decode()
    assert "An administrator can give you one." in page
    assert "<form" not in page


def test_password_fields_are_masked_and_known_to_password_managers(ann: User) -> None:
    client = Client()
    pages = [client.get("/sign-in/").content.decode()]
    client.force_login(ann)
    pages.append(client.get("/password/").content.decode())
    fields = [field for page in pages for field in re.findall(r"<input[^>]*password[^>]*>", page)]
    assert len(fields) == 4
    for field in fields:
        assert 'type="password"' in field
        assert re.search(r'autocomplete="(current|new)-password"', field)
        assert "onpaste" not in field


def test_the_first_administrator_has_no_password_and_is_a_manager_until_that_is_changed() -> None:
    admin = first_user()
    assert admin is not None
    assert not admin.has_usable_password()
    for password in ("", " ", "admin", admin.password):
        assert sign_in(Client(), "admin", password).status_code == 200
    assert admin.groups.get().name == "managers"
    admin.groups.clear()
    first_user()
    assert not admin.groups.exists()


def test_passwords_are_kept_by_a_slow_function() -> None:
    """The settings of the tests have a quick one."""
    assert not hasattr(natproject.settings, "PASSWORD_HASHERS")
    assert global_settings.PASSWORD_HASHERS[0].endswith(".PBKDF2PasswordHasher")
    assert PBKDF2PasswordHasher.iterations >= 600_000

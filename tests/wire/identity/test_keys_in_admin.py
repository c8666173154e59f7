"""API keys in the admin."""

import re

import pytest
from asgiref.sync import sync_to_async
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.test import Client

from chat_app.identity import BadCredentials
from chat_app.identity.api_keys import key_identity
from chat_app.models import ApiKey

pytestmark = pytest.mark.django_db(transaction=True)

ADD = "/admin/chat_app/apikey/add/"
LIST = "/admin/chat_app/apikey/"


def make_key(client: Client, user: User) -> str:
    answer = client.post(ADD, {"user": user.username, "name": "a program"})
    assert answer.status_code == 200
    assert "no-store" in answer["Cache-Control"]
    match = re.search(r'id="api-key">(nak_[^<]+)<', answer.content.decode())
    assert match
    return match[1]


def test_a_key_is_for_a_user_who_is_named(admin_client: Client, admin_user: User) -> None:
    for wrong in ("nobody", str(admin_user.pk)):
        page = admin_client.post(ADD, {"user": wrong, "name": "x"}).content.decode()
        assert "There is no user of this name." in page
    assert not ApiKey.objects.exists()


async def test_a_key_is_shown_once_and_works_until_it_is_revoked(
    admin_client: Client, admin_user: User
) -> None:
    user = await User.objects.acreate(username="ann")
    key = await sync_to_async(make_key)(admin_client, user)
    assert (await key_identity(key)).person.username == "ann"
    row = await ApiKey.objects.aget()
    secret = key.split("_", 2)[2]
    for url in (LIST, f"{LIST}{row.pk}/change/"):
        page = (await sync_to_async(admin_client.get)(url)).content.decode()
        assert row.prefix in page
        assert secret not in page
        assert row.digest not in page
    revoke = {"action": "revoke", "_selected_action": [row.pk]}
    for _ in range(2):  # the second time it is revoked already
        answer = await sync_to_async(admin_client.post)(LIST, revoke)
        assert answer.status_code == 302
    assert await LogEntry.objects.filter(change_message__contains="revoked").acount() == 1
    with pytest.raises(BadCredentials):
        await key_identity(key)


def test_a_key_is_not_edited(admin_client: Client, admin_user: User) -> None:
    make_key(admin_client, admin_user)
    row = ApiKey.objects.get()
    admin_client.post(f"{LIST}{row.pk}/change/", {"user": admin_user.pk, "name": "other"})
    row.refresh_from_db()
    assert row.name == "a program"

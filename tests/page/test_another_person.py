"""A page that was made for one person does nothing as another, who has signed in since."""

import asyncio
import re
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth import SESSION_KEY
from django.contrib.auth.models import User
from django.test import AsyncClient, Client
from django.urls import reverse
from pytest_django import Settings

from chat_app.identity.prompt_links import prompt_link
from chat_app.identity.users import guest_user
from chat_app.urls import ApiConverter
from sessions_app.models import Conversation, Interaction, Run
from sessions_app.models.people import Person
from sessions_app.prompts import TextPrompt
from tests.page.plain_page import page
from tests.security import doors
from tests.support.database.stored_log import StoredLog
from tests.support.hitl import set_hitl
from tests.wire.local_socket import LocalSocket

pytestmark = pytest.mark.django_db(transaction=True)
UUID = str(uuid4())
# They belong to nobody, to the holder of their URL, to the browser, or to programs, whose requests
# name nobody; a file is downloaded by a link.
ANYBODYS = re.compile(
    r"/(health|live|websocket|brand.css|settings/$|unsubscribe|p/linked|callbacks|sign-|password"
    r"|admin|favicon|mcp|openapi.json|docs|c/<\w+>/files/<file>|<path>)"
)
HISTORY = "salary of ben: 4711"


@pytest.fixture
def ben() -> User:
    """Return the person for whom the pages were made, in whose browser ann has signed in."""
    return User.objects.create_user("ben")


def paths() -> list[str]:
    own_paths = [path for path in sorted(doors.addresses()) if not ANYBODYS.match(path)]
    assert len(own_paths) > 40
    return [re.sub(r"<\w+>", UUID, path.replace("<first>", "1")) for path in own_paths]


@pytest.mark.usefixtures("client")
def test_each_door_refuses_the_form_of_another(ann: User, ben: User) -> None:
    client = Client()
    client.force_login(ann)
    fields = {"chat_for": str(ben.pk), "text": HISTORY, "message_id": "m", "sent": "1"}
    pages = [path for path in paths() if not re.fullmatch(ApiConverter.regex, path[1:])]
    statuses = {path: client.post(path, fields).status_code for path in pages}
    # The others take no form.
    assert {path: status for path, status in statuses.items() if status not in (409, 405)} == {}
    assert list(statuses.values()).count(409) > 12
    assert not Run.objects.exists()
    assert not Conversation.objects.exists()


@pytest.mark.usefixtures("client")
def test_each_door_refuses_the_script_of_another(ann: User, ben: User) -> None:
    client = Client(headers={"x-for": str(ben.pk)})
    client.force_login(ann)
    statuses = {path: client.get(path).status_code for path in (*paths(), "/openapi.json")}
    assert statuses["/openapi.json"] == 409
    assert {path: status for path, status in statuses.items() if status not in (409, 405)} == {}
    assert list(statuses.values()).count(409) > 20


async def test_a_refused_form_says_who_is_signed_in_and_has_what_was_typed(
    client: AsyncClient, ben: User
) -> None:
    url = reverse("chat:send", args=["c"])
    answer = await client.post(url, {"chat_for": str(ben.pk), "text": HISTORY})
    html = answer.content.decode()
    assert answer.status_code == 409
    assert "ann has signed in in this browser" in html
    assert f"readonly>{HISTORY}</textarea>" in html
    said: Any = await client.post(
        url, {"chat_for": str(ben.pk)}, headers={"accept": "application/json"}
    )
    assert said.json()["error"].startswith("ann has signed in in this browser")


def test_a_form_from_before_the_sign_in_of_another_is_given_back(ann: User, ben: User) -> None:
    client = Client(enforce_csrf_checks=True)
    # Who signs in gets another token.
    fields = {"csrfmiddlewaretoken": "x" * 64, "chat_for": str(ben.pk), "text": HISTORY}
    client.force_login(ann)
    for path in (reverse("chat:send", args=["c"]), reverse("sign-out")):
        answer = client.post(path, fields)
        html = answer.content.decode()
        assert (answer.status_code, HISTORY in html) == (409, True)
        assert "ann has signed in in this browser" in html
    assert client.get(reverse("chat:inbox")).status_code == 200  # ann stays signed in
    fields["chat_for"] = str(ann.pk)
    assert client.post(path, fields).status_code == 403


async def test_a_page_names_its_person_in_each_form_and_to_its_script(
    client: AsyncClient, ann: User, log: StoredLog, run: Run
) -> None:
    await asyncio.to_thread(log.ask, run, TextPrompt(text="Which one?"))
    for html in (await page(client), (await client.get(reverse("chat:inbox"))).content.decode()):
        forms = html.count('method="post"')
        assert forms > 0
        assert html.count(f'name="chat_for" value="{ann.pk}"') == forms
        assert f'data-person="{ann.pk}"' in html


async def test_a_guests_link_is_the_guests_whoever_is_signed_in(
    client: AsyncClient, ann: User, settings: Settings
) -> None:
    set_hitl(settings, GUESTS=True)
    guest = await guest_user(uuid4().hex, address="")
    log = await asyncio.to_thread(StoredLog, guest)
    run = await asyncio.to_thread(log.message)
    interaction = await asyncio.to_thread(log.ask, run, TextPrompt(text="Which one?"))
    link = prompt_link(LocalSocket(None).scope, Person.of(guest), str(interaction.pk))
    html = (await client.get(link)).content.decode()
    assert 'name="chat_for"' not in html
    answer = await client.post(link, {"value": "this one", "version": "1"})
    assert answer.status_code == 303
    settled = await Interaction.objects.select_related("answered_by").aget(pk=interaction.pk)
    assert settled.answered_by == guest != ann


async def test_a_page_signs_out_nobody_else_where_a_proxy_names_the_user(
    ann: User, ben: User, settings: Settings
) -> None:
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, "tests.support.host_site.parts.ProxyUser"]
    settings.AUTHENTICATION_BACKENDS = ["django.contrib.auth.backends.RemoteUserBackend"]
    client: Any = AsyncClient(enforce_csrf_checks=True)
    by_ann, by_ben = ({"x-auth-request-user": name} for name in ("ann", "ben"))

    async def form(headers: dict[str, str]) -> dict[str, str]:
        html = (await client.get("/c/c/", headers=headers)).content.decode()
        return dict(re.findall(r'name="(csrfmiddlewaretoken|chat_for)" value="(\w+)"', html))

    fields = await form(by_ben)
    assert fields["chat_for"] == str(ben.pk)
    # The token is still good: the proxy changes the user in the very request of the form.
    answer = await client.post(reverse("sign-out"), fields, headers=by_ann)
    assert (answer.status_code, "Clear-Site-Data" in answer) == (409, False)
    assert await (await client.asession()).aget(SESSION_KEY) == str(ann.pk)
    fields = await form(by_ben)
    answer = await client.post(reverse("chat:send", args=["c"]), fields, headers=by_ann)
    assert answer.status_code == 409
    answer = await client.post(reverse("sign-out"), await form(by_ann), headers=by_ann)
    assert answer.status_code == 302

"""The signed links to a guest's prompt."""

from datetime import timedelta
from uuid import uuid4

import pytest
import time_machine
from django.contrib.auth.models import User
from django.utils import timezone
from pytest_django import Settings

from chat_app.identity.prompt_links import prompt_link, read_prompt_link
from chat_app.identity.users import guest_user
from sessions_app.models.people import Person
from sessions_app.storage import reads
from tests.support.hitl import set_hitl
from tests.wire.local_socket import LocalSocket

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def guests(settings: Settings) -> None:
    settings.ALLOWED_HOSTS = ["chat.example"]
    set_hitl(settings, GUESTS=True, PUBLIC_URL="")


async def test_a_prompt_link_holds_for_a_day_while_guests_are_allowed(settings: Settings) -> None:
    guest, interaction = Person.of(await guest_user(uuid4().hex, address="")), uuid4()
    link = prompt_link(LocalSocket(None).scope, guest, str(interaction))
    token = link.split("/")[-2]
    assert await reads.read(read_prompt_link, token) == (guest, interaction)
    with time_machine.travel(timezone.now() + timedelta(days=1, seconds=1), tick=True):
        assert await reads.read(read_prompt_link, token) is None
    await User.objects.filter(pk=guest.id).aupdate(is_active=False)
    assert await reads.read(read_prompt_link, token) is None
    await User.objects.filter(pk=guest.id).aupdate(is_active=True)
    set_hitl(settings, GUESTS=False)
    assert await reads.read(read_prompt_link, token) is None


async def test_a_prompt_link_has_the_public_url_or_the_allowed_host(
    settings: Settings,
) -> None:
    guest = Person.of(await guest_user(uuid4().hex, address=""))
    for host, site in (("chat.example:81", "http://chat.example:81"), ("evil.example", "")):
        scope = LocalSocket(None, headers={"host": host}).scope
        assert prompt_link(scope, guest, str(uuid4())).startswith(f"{site}/p/linked/")
    set_hitl(settings, PUBLIC_URL="https://site.example")
    assert prompt_link(scope, guest, str(uuid4())).startswith("https://site.example/p/linked/")


async def test_users_who_can_sign_in_get_an_unsigned_link() -> None:
    ann = await User.objects.acreate(username="ann")
    interaction = str(uuid4())
    scope = LocalSocket(ann, headers={"host": "chat.example"}).scope
    expected = f"http://chat.example/p/{interaction}/"
    assert prompt_link(scope, Person.of(ann), interaction) == expected

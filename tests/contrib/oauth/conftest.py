"""An OAuth server, the settings that name it, and people in front of their browsers."""

import json
from collections.abc import AsyncIterator, Iterator

import pytest
from django.contrib.auth.models import User
from django.test import AsyncClient
from pytest_django import Settings

from tests.conftest import NewServer
from tests.contrib.oauth.people import SITE, Browser
from tests.contrib.oauth.provider import Provider
from tests.contrib.oauth.site import workflows  # noqa: F401 - it declares them
from tests.support.hitl import set_hitl
from tests.support.hosting import Hosting
from tests.support.server import Server


@pytest.fixture(scope="session")
def shared_provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    """Yield a running OAuth server, which the tests of a process share."""
    provider = Provider(tmp_path_factory.mktemp("provider"), [f"{SITE}/oauth/notes/"])
    provider.start()
    yield provider
    provider.stop()


@pytest.fixture
def provider(
    shared_provider: Provider, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> Provider:
    """Return the OAuth server, which has given nothing to anybody and is named in the settings."""
    shared_provider.start()
    shared_provider.forget_all()
    offered = {"notes": shared_provider.setting}
    set_hitl(settings, PUBLIC_URL=SITE, OAUTH_PROVIDERS=offered)
    monkeypatch.setenv("NOTES_API", f"{shared_provider.url}/api/notes/")
    return shared_provider


@pytest.fixture
def server(new_server: NewServer, provider: Provider) -> Server:
    """Return a running server that offers the workflow, and to which the provider sends people."""
    server = new_server(
        start=False,
        DJANGO_SETTINGS_MODULE="tests.contrib.oauth.site.settings",
        OAUTH_PROVIDERS=json.dumps({"notes": provider.setting}),
        NOTES_API=f"{provider.url}/api/notes/",
        PARK_AFTER="0.1",
    )
    server.env["PUBLIC_URL"] = server.url
    provider.take_back_to(f"{server.url}/oauth/notes/")
    server.start()
    return server


@pytest.fixture
async def hosting(provider: Provider, transactional_db: None) -> AsyncIterator[Hosting]:
    """Yield the host of the workflow that reads notes, for ann; waiting runs leave the memory."""
    async with Hosting("notes", park_after=0) as hosting:
        yield hosting


@pytest.fixture
async def ann(hosting: Hosting) -> Browser:
    """Return the browser of ann, whose runs they are."""
    return await browser_of(await User.objects.aget(pk=hosting.user))


@pytest.fixture
async def ben(hosting: Hosting) -> Browser:
    """Return the browser of another person."""
    return await browser_of(await User.objects.acreate(username="ben"))


async def browser_of(user: User) -> Browser:
    """Return the browser of a user who is signed in."""
    client = AsyncClient()
    await client.aforce_login(user)
    return Browser(client)

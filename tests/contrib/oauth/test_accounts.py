"""The page on which people see and revoke their consents, and what the admin shows of them."""

import pytest
from django.contrib.auth.models import User
from django.test import AsyncClient
from pytest_django import Settings

from chat_app.contrib.oauth.models import OAuthGrant
from tests.contrib.oauth.people import Browser
from tests.contrib.oauth.provider import Provider
from tests.page.plain_page import press, text_of
from tests.support.hitl import set_hitl
from tests.support.hosting import Hosting


@pytest.fixture(autouse=True)
async def _connected(hosting: Hosting, ann: Browser) -> None:
    run = await hosting.send("read")
    await ann.consent(run)
    assert await run.result() == "octo"


@pytest.mark.slow
async def test_the_page_lists_what_a_person_has_connected(ann: Browser, ben: Browser) -> None:
    assert "Connected accounts" in await text_of(ann.client, "settings")
    page = await text_of(ann.client, "accounts")
    assert all(word in page for word in ("Notes", "read", "Last used"))
    assert "No connected accounts." in await text_of(ben.client, "accounts")


@pytest.mark.slow
async def test_revoked_it_is_gone_here_and_there(
    hosting: Hosting, ann: Browser, provider: Provider, caplog: pytest.LogCaptureFixture
) -> None:
    page = await text_of(ann.client, "accounts")
    page = await press(ann.client, page, "Revoke Notes", "/settings/accounts/")
    assert ("No connected accounts." in page, "could not be told" in page) == (True, False)
    assert provider.valid_tokens() == []
    assert ("account.connected" in caplog.text, "account.revoked" in caplog.text) == (False, True)
    assert len(await (await hosting.send("read")).prompts()) == 1


async def test_revoked_after_its_access_token_ended_it_is_refreshed_no_more(
    ann: Browser, provider: Provider
) -> None:
    provider.rows("DELETE FROM oauth2_provider_accesstoken")
    valid = "SELECT 1 FROM oauth2_provider_refreshtoken WHERE revoked IS NULL"
    assert len(provider.rows(valid)) == 1
    page = await text_of(ann.client, "accounts")
    await press(ann.client, page, "Revoke Notes", "/settings/accounts/")
    assert provider.rows(valid) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", ["Notes", "notes"], ids=["is away", "is not in the settings"])
async def test_revoked_though_the_provider_cannot_be_told_it_is_gone_here(
    ann: Browser, provider: Provider, settings: Settings, name: str
) -> None:
    if name == "notes":  # nobody knows its title any more
        set_hitl(settings, OAUTH_PROVIDERS={"other": provider.setting})
    page = await text_of(ann.client, "accounts")
    provider.stop()
    page = await press(ann.client, page, f"Revoke {name}", "/settings/accounts/")
    assert "could not be told" in page
    assert not await OAuthGrant.objects.aexists()


async def test_nobody_revokes_for_others(ben: Browser) -> None:
    await ben.client.post("/settings/accounts/", {"provider": "notes"})
    assert await OAuthGrant.objects.acount() == 1


async def test_without_providers_there_is_no_page(ann: Browser, settings: Settings) -> None:
    set_hitl(settings, OAUTH_PROVIDERS={})
    for path in ("/settings/accounts/", "/oauth/notes/"):
        assert (await ann.get(path)).status_code == 404
    assert "Connected accounts" not in await text_of(ann.client, "settings")


@pytest.mark.slow
async def test_the_admin_shows_no_token() -> None:
    boss = await User.objects.acreate_superuser("boss")
    client = AsyncClient()
    await client.aforce_login(boss)
    grant = await OAuthGrant.objects.aget()
    for path in ("", f"{grant.pk}/change/"):
        page = (await client.get(f"/admin/hitl_oauth/oauthgrant/{path}")).content.decode()
        assert ("notes" in page, grant.tokens in page) == (True, False)

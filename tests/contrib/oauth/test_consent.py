"""A workflow asks its person for consent; the way to the provider and back answers it."""

import asyncio
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from django.contrib.auth.models import User
from django.db.models import F
from django.utils import timezone
from pytest_django import Settings

from chat_app.contrib.oauth.models import OAuthGrant, OAuthRequest
from sessions_app import runs
from sessions_app.contrib.testing.hosted_run import HostedRun
from sessions_app.contrib.testing.polling import until
from sessions_app.errors import Invalid
from sessions_app.models import Interaction, Run
from tests.contrib.oauth.people import SITE, Browser, changed, elsewhere, link_of
from tests.contrib.oauth.provider import Provider
from tests.support.gzip_bomb import little_memory
from tests.support.hitl import set_hitl
from tests.support.hosting import Hosting

STILL_WAITS = "The question still waits"


@pytest.fixture
async def run(hosting: Hosting) -> HostedRun:
    """Return a run of ann that waits for her consent."""
    return await hosting.send("read")


@pytest.mark.slow
async def test_a_tool_acts_for_its_person(run: HostedRun, ann: Browser) -> None:
    page = await ann.consent(run)
    assert (page.status, "You can close this page" in page.text) == (200, True)
    assert await run.result() == "octo"
    settled = await Interaction.objects.aget()
    assert (settled.answered_via, settled.response) == ("oauth", {"value": "done"})


async def test_a_kept_consent_is_not_asked_for_again(hosting: Hosting, ann: Browser) -> None:
    await ann.consent(await hosting.send("read"))
    run = await hosting.send("read")
    assert await run.result() == "octo"
    assert await run.asked() == []


@pytest.mark.slow
async def test_more_access_is_asked_for_with_what_there_was(hosting: Hosting, ann: Browser) -> None:
    await ann.consent(await hosting.send("read"))
    await ann.consent(await hosting.send("write"))
    assert [grant.scopes async for grant in OAuthGrant.objects.all()] == [["read", "write"]]
    assert await (await hosting.send("read")).result() == "octo"


@pytest.mark.parametrize(
    ("oddity", "scopes"),
    [
        ("commas", "read write"),
        ("list", "read write"),
        ("silent", "read offline_access"),
        ("long", "read"),
    ],
)
async def test_access_may_be_written_otherwise(
    hosting: Hosting,
    ann: Browser,
    provider: Provider,
    settings: Settings,
    oddity: str,
    scopes: str,
) -> None:
    token_url = f"{provider.url}/{oddity}/token/"
    set_hitl(settings, OAUTH_PROVIDERS={"notes": {**provider.setting, "token_url": token_url}})
    run = await hosting.send(scopes)
    assert (await ann.consent(run)).status == 200
    assert await run.result() == "octo"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("setting", "path"),
    [
        ("metadata_url", "list/"),
        ("token_url", "list/"),
        ("token_url", "words/token/"),
        ("metadata_url", "bomb/"),
        ("token_url", "bomb/"),
        ("metadata_url", "moved/.well-known/oauth-authorization-server"),
        ("token_url", "moved/long/token/"),
    ],
)
async def test_a_provider_that_answers_otherwise_than_oauth_connects_nothing(
    run: HostedRun, ann: Browser, provider: Provider, settings: Settings, setting: str, path: str
) -> None:
    address = await elsewhere(await ann.leave(run))
    odd = {**provider.setting, setting: f"{provider.url}/{path}"}
    set_hitl(settings, OAUTH_PROVIDERS={"notes": odd})
    with little_memory(16):
        page = await ann.come_back(address)
    assert (page.status, STILL_WAITS in page.text) == (503, True)
    assert not await OAuthGrant.objects.aexists()


async def test_the_access_that_another_provider_gave_is_neither_used_nor_asked_for(
    hosting: Hosting, ann: Browser
) -> None:
    await ann.consent(await hosting.send("write"))
    await OAuthGrant.objects.aupdate(provider="elsewhere")
    assert len(await (await hosting.send("write")).prompts()) == 1
    address = await ann.leave(await hosting.send("read"))
    assert parse_qs(urlsplit(address).query)["scope"] == ["read"]


async def test_who_is_replayed_gets_the_token_of_now(
    hosting: Hosting, ann: Browser, provider: Provider
) -> None:
    run = await hosting.send("read later")
    await ann.consent(run)
    await run.prompts()
    await hosting.stop()
    await OAuthGrant.objects.aupdate(expires_at="2026-01-01T00:00Z")
    old_tokens = provider.valid_tokens()
    await hosting.start()
    await run.answer("now")
    assert await run.result() == "octo"
    assert provider.valid_tokens() not in ([], old_tokens)


async def test_declined_at_the_provider_it_can_be_tried_again(run: HostedRun, ann: Browser) -> None:
    page = await ann.consent(run, agree=False)
    assert (page.status, "You did not agree" in page.text, STILL_WAITS in page.text) == (
        *(200, True, True),
    )
    assert (await ann.consent(run)).status == 200
    assert await run.result() == "octo"


async def test_declined_on_the_card_the_workflow_learns_of_it(run: HostedRun, ann: Browser) -> None:
    await run.answer("declined")
    assert "declined to connect their account at Notes" in await run.result()


async def test_no_client_can_say_that_it_was_done(run: HostedRun, ann: Browser) -> None:
    with pytest.raises(Invalid, match="Open the link and agree at Notes"):
        await run.answer("done")
    assert len(await run.prompts()) == 1


async def test_an_address_works_once(run: HostedRun, ann: Browser) -> None:
    address = await elsewhere(await ann.leave(run))
    assert (await ann.come_back(address)).status == 200
    page = await ann.come_back(address)
    assert (page.status, "used before" in page.text) == (400, True)


@pytest.mark.parametrize(("minutes", "status"), [(59, 200), (61, 400)])
async def test_an_address_works_for_an_hour(
    run: HostedRun, ann: Browser, minutes: int, status: int
) -> None:
    address = await elsewhere(await ann.leave(run))
    await OAuthRequest.objects.aupdate(expires_at=F("expires_at") - timedelta(minutes=minutes))
    assert (await ann.come_back(address)).status == status


async def test_an_expired_address_is_deleted_with_the_next(run: HostedRun, ann: Browser) -> None:
    await ann.leave(run)
    await OAuthRequest.objects.aupdate(expires_at=timezone.now())
    await ann.leave(run)
    assert await OAuthRequest.objects.acount() == 1  # the old one is gone


async def test_nobody_else_can_leave_or_come_back(
    hosting: Hosting, run: HostedRun, ann: Browser, ben: Browser
) -> None:
    link = await link_of(run)
    assert link.startswith(f"{SITE}/oauth/{run.id}/")
    assert (await ben.get(link)).status_code == 404
    address = await elsewhere(await ann.leave(run))
    page = await ben.come_back(address)
    assert (page.status, "Somebody else opened the link" in page.text) == (403, True)
    assert not await OAuthGrant.objects.aexists()
    assert (await ann.come_back(address)).status == 200
    assert [grant.user_id async for grant in OAuthGrant.objects.all()] == [hosting.user]


@pytest.mark.parametrize("issuer", ["https://evil.example", None])
async def test_another_issuer_connects_nothing(
    run: HostedRun, ann: Browser, issuer: str | None
) -> None:
    address = await elsewhere(await ann.leave(run))
    page = await ann.come_back(changed(address, iss=issuer))
    assert (page.status, STILL_WAITS in page.text) == (400, True)
    assert not await OAuthGrant.objects.aexists()
    assert len(await run.prompts()) == 1


@pytest.mark.slow
async def test_the_code_of_another_way_is_refused(hosting: Hosting, ann: Browser) -> None:
    """PKCE: the provider compares the code with the verifier, which no browser has."""
    first, second = await hosting.send("read"), await hosting.send("read write")
    stolen = await elsewhere(await ann.leave(first))
    own = await elsewhere(await ann.leave(second))
    code = stolen.partition("code=")[2].partition("&")[0]
    page = await ann.come_back(changed(own, code=code))
    assert (page.status, STILL_WAITS in page.text) == (400, True)
    assert not await OAuthGrant.objects.aexists()


async def test_less_access_than_is_needed_is_not_kept(hosting: Hosting, ann: Browser) -> None:
    run = await hosting.send("read write")
    page = await ann.consent(run, scope="read")
    assert "Missing: write" in page.text
    assert not await OAuthGrant.objects.aexists()
    assert (await ann.consent(run)).status == 200


@pytest.mark.slow
async def test_a_provider_that_is_away_can_be_tried_again(
    run: HostedRun, ann: Browser, provider: Provider
) -> None:
    address = await elsewhere(await ann.leave(run))
    provider.stop()
    assert (await ann.come_back(address)).status == 503
    assert (await ann.get(await link_of(run))).status_code == 503
    provider.start()
    assert (await ann.consent(run)).status == 200
    assert await run.result() == "octo"


async def test_a_provider_that_the_settings_have_no_more_cannot_be_reached(
    run: HostedRun, ann: Browser, provider: Provider, settings: Settings
) -> None:
    link = await link_of(run)
    set_hitl(settings, OAUTH_PROVIDERS={"other": provider.setting})
    assert (await ann.get(link)).status_code == 503
    set_hitl(settings, OAUTH_PROVIDERS={"notes": provider.setting})
    assert (await ann.consent(run)).status == 200


async def test_the_second_of_two_tabs_is_told(run: HostedRun, ann: Browser) -> None:
    first = await elsewhere(await ann.leave(run))
    second = await elsewhere(await ann.leave(run))
    assert (await ann.come_back(second)).status == 200
    page = await ann.come_back(first)
    assert (page.status, "no longer waits" in page.text) == (409, True)


async def test_a_run_that_was_stopped_meanwhile_gets_nothing(
    run: HostedRun, ann: Browser, provider: Provider
) -> None:
    tokens = "SELECT id FROM oauth2_provider_accesstoken"
    link, address = await link_of(run), await elsewhere(await ann.leave(run))
    given_before = provider.rows(tokens)
    await runs.acancel(run.id)
    await run.rest()
    assert (await ann.come_back(address)).status == 409
    assert (await ann.get(link)).status_code == 409
    assert not await OAuthGrant.objects.aexists()
    assert provider.rows(tokens) == given_before  # the code was not exchanged


async def test_a_run_that_is_stopped_during_the_exchange_gets_nothing(
    run: HostedRun, ann: Browser, provider: Provider
) -> None:
    address = await elsewhere(await ann.leave(run))
    with provider.paused():
        coming_back = asyncio.create_task(ann.come_back(address))
        await until(lambda: not OAuthRequest.objects.exists())
        await runs.acancel(run.id)
        await run.rest()  # a stop is a request, which the run's host carries out
    assert (await coming_back).status == 409
    assert not await OAuthGrant.objects.aexists()


async def test_a_person_may_leave_so_often(
    hosting: Hosting, ann: Browser, settings: Settings
) -> None:
    set_hitl(settings, RATE_CONSENTS_USER="1/hour")
    run = await hosting.send("read")
    await ann.leave(run)
    page = await ann.get(await link_of(run))
    assert (page.status_code, int(page["Retry-After"]) > 3000) == (429, True)


async def test_a_guest_cannot_connect_an_account(
    provider: Provider, transactional_db: None
) -> None:
    guest = await User.objects.acreate(username=f"guest-{'0' * 40}")
    async with Hosting("notes", user=guest) as hosting:
        run = await hosting.send("read")
        assert await run.status() == "failed"
        assert "NoConsentOfGuests" in str((await Run.objects.aget()).error)

"""The tokens of a grant: where they are seen, how they are refreshed, and how they end."""

import asyncio
import logging
from datetime import timedelta

import pytest
from django.apps import apps
from django.contrib.auth.models import User
from django.utils import timezone
from pytest_django import Settings

from chat_app.contrib.oauth import token_refresh
from chat_app.contrib.oauth.access_token import AccessToken
from chat_app.contrib.oauth.errors import ConsentGone, ProviderRefused, ProviderUnavailable
from chat_app.contrib.oauth.models import OAuthGrant
from chat_app.contrib.oauth.tokens import Tokens
from sessions_app.storage import reads
from tests.contrib.oauth.people import Browser
from tests.contrib.oauth.provider import Provider
from tests.support.hitl import set_hitl
from tests.support.hosting import Hosting, until

PAST = "2026-01-01T00:00Z"


@pytest.fixture
async def token(hosting: Hosting, ann: Browser) -> AccessToken:
    """Return the token that ann has consented to."""
    run = await hosting.send("read")
    await ann.consent(run)
    assert await run.result() == "octo"
    grant = await OAuthGrant.objects.aget()
    return AccessToken(grant.pk, grant.user_id, "notes")


@pytest.mark.slow
async def test_no_token_is_in_the_database_or_a_log(
    token: AccessToken, provider: Provider, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    await OAuthGrant.objects.aupdate(expires_at=PAST)
    secrets = {await token.read(), *provider.secrets(), "client-secret"}
    assert len(secrets) >= 4
    models = [model for model in apps.get_models() if not model._meta.proxy]
    rows = await reads.read(lambda: [list(model._default_manager.values()) for model in models])
    stored = str(rows)
    assert "refreshing_until" in stored
    assert [secret for secret in secrets if secret in stored + caplog.text] == []
    tokens = Tokens(access="SECRET", refresh="SECRET")
    assert "SECRET" not in f"{tokens!r}{tokens}{token!r}"


@pytest.mark.slow
async def test_tokens_are_refreshed_once_by_all_who_need_them(
    token: AccessToken, provider: Provider
) -> None:
    """The server takes all tokens back from who uses a refresh token twice."""
    await OAuthGrant.objects.aupdate(expires_at=PAST)
    secrets = await asyncio.gather(*(token.read() for _ in range(5)))
    assert len(set(secrets)) == 1
    assert provider.call_api(secrets[0]).status_code == 200
    await OAuthGrant.objects.aupdate(expires_at=PAST)
    assert provider.call_api(await token.read()).status_code == 200


@pytest.mark.slow
@pytest.mark.parametrize(
    ("seconds", "refreshing_until"),
    [(30, None), (-30, PAST)],
    ids=["about to end", "over, and a dead process began to refresh it"],
)
async def test_a_token_is_refreshed(
    token: AccessToken, seconds: int, refreshing_until: str | None
) -> None:
    first = await token.read()
    end = timezone.now() + timedelta(seconds=seconds)
    await OAuthGrant.objects.aupdate(expires_at=end, refreshing_until=refreshing_until)
    assert await token.read() != first


@pytest.mark.slow
async def test_tokens_that_live_for_a_moment_are_used_all_the_same(
    token: AccessToken, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The tokens of this server live for ten hours.
    monkeypatch.setattr(token_refresh, "MARGIN", timedelta(days=1))
    async with asyncio.timeout(10):
        assert provider.call_api(await token.read()).status_code == 200


async def test_a_token_that_cannot_be_refreshed_is_used_to_its_end(token: AccessToken) -> None:
    alone = Tokens(access=await token.read())
    soon = timezone.now() + timedelta(seconds=50)
    await OAuthGrant.objects.aupdate(tokens=alone.encrypt(token.user), expires_at=soon)
    assert await token.read() == alone.access
    await OAuthGrant.objects.aupdate(expires_at=PAST)
    with pytest.raises(ConsentGone):
        await token.read()


@pytest.mark.slow
async def test_a_refresh_that_another_process_took_over_leaves_what_that_stored(
    token: AccessToken, provider: Provider
) -> None:
    """New tokens may share a refresh token, or all of the consent, with those of the other one."""
    await OAuthGrant.objects.aupdate(expires_at=PAST)
    with provider.paused():
        reading = asyncio.create_task(token.read())
        await until(OAuthGrant.objects.filter(refreshing_until__isnull=False).exists)
        later = timezone.now() + timedelta(hours=1)
        await OAuthGrant.objects.aupdate(refreshing_until=None, expires_at=later)
    assert await reading
    assert provider.valid_tokens() != []


@pytest.mark.slow
async def test_new_tokens_are_stored_for_who_is_stopped_meanwhile(
    token: AccessToken, provider: Provider
) -> None:
    await OAuthGrant.objects.aupdate(expires_at=PAST)
    reading = asyncio.create_task(token.read())
    await until(OAuthGrant.objects.filter(refreshing_until__isnull=False).exists)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert provider.call_api(await token.read()).status_code == 200


@pytest.mark.slow
async def test_where_the_provider_took_it_back_the_person_is_asked_anew(
    hosting: Hosting, ann: Browser, token: AccessToken, provider: Provider
) -> None:
    await OAuthGrant.objects.aupdate(expires_at=PAST)
    provider.forget_all()
    run = await hosting.send("read")
    assert (await ann.consent(run)).status == 200
    assert await run.result() == "octo"
    with pytest.raises(ConsentGone):
        await token.read()


@pytest.mark.slow
async def test_a_provider_that_is_away_costs_no_consent(
    token: AccessToken, provider: Provider, settings: Settings
) -> None:
    await OAuthGrant.objects.aupdate(expires_at=PAST)
    provider.stop()
    with pytest.raises(ProviderUnavailable):
        await token.read()
    provider.start()
    wrong = {**provider.setting, "client_secret": "wrong"}
    set_hitl(settings, OAUTH_PROVIDERS={"notes": wrong})
    with pytest.raises(ProviderRefused, match="invalid_client"):
        await token.read()
    set_hitl(settings, OAUTH_PROVIDERS={"notes": provider.setting})
    assert await token.read()


@pytest.mark.slow
async def test_a_new_secret_key_reads_the_tokens_of_the_old_one(
    hosting: Hosting, token: AccessToken, settings: Settings
) -> None:
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "another" * 10
    assert await token.read()
    settings.SECRET_KEY_FALLBACKS = []
    with pytest.raises(ConsentGone):
        await token.read()
    assert len(await (await hosting.send("read")).prompts()) == 1


@pytest.mark.slow
async def test_tokens_are_of_one_person(hosting: Hosting, ann: Browser, token: AccessToken) -> None:
    eve = await User.objects.acreate(username="eve")
    with pytest.raises(ConsentGone):
        await AccessToken(token.grant, eve.pk, "notes").read()
    await OAuthGrant.objects.aupdate(user=eve)  # as by hand, in the database
    with pytest.raises(ConsentGone):
        await AccessToken(token.grant, eve.pk, "notes").read()


@pytest.mark.slow
async def test_a_deleted_user_has_no_grants(token: AccessToken) -> None:
    await User.objects.all().adelete()
    assert not await OAuthGrant.objects.aexists()

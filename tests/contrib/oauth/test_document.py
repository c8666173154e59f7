"""The example of docs/oauth.md runs, against the OAuth server in the place of GitHub."""

import asyncio
import re

import pytest
from pytest_django import Settings

from natproject.settings.env import ROOT
from sessions_app.workflows import registry
from tests.contrib.oauth.conftest import browser_of
from tests.contrib.oauth.people import SITE
from tests.contrib.oauth.provider import Provider
from tests.support.hitl import set_hitl
from tests.support.hosting import Hosting, make_user


@pytest.mark.slow
async def test_the_example_lists_issues(
    provider: Provider,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    transactional_db: None,
) -> None:
    monkeypatch.setattr(registry, "_declared", dict(registry._declared))
    [code] = re.findall(r"^```python\n(.*?)^```", (ROOT / "docs/oauth.md").read_text(), re.M | re.S)
    exec(code.replace("https://api.github.com", provider.url), {"__name__": "in_a_document"})  # noqa: S102 - our own document
    set_hitl(settings, OAUTH_PROVIDERS={"github": provider.setting})
    provider.take_back_to(f"{SITE}/oauth/github/")
    user = await asyncio.to_thread(make_user, "ann")
    ann = await browser_of(user)
    async with Hosting("issues", user=user) as hosting:
        run = await hosting.send("ann/notes")
        assert (await ann.consent(run)).status == 200
        assert await run.result() == "- First\n- Second\n"

"""Tests of what operators see of a prompt type that a project adds."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.test import AsyncClient
from pytest_django import Settings

from sessions_app.models import Interaction
from sessions_app.prompts import base
from tests.contrib.operations.administrator import Operator, answer_page
from tests.support.hosting import Hosting
from tests.wire.live_hosting import live_hosting
from tests.wire.test_own_prompt_type import GONE, add_template

pytestmark = pytest.mark.django_db(transaction=True)

LIST = "/admin/sessions_app/interaction/"


@pytest.fixture
async def hosting(settings: Settings, tmp_path: Path) -> AsyncIterator[Hosting]:
    add_template(settings, tmp_path)
    async with live_hosting("t_rated") as hosting:
        yield hosting


async def test_operators_see_and_answer_it(hosting: Hosting) -> None:
    run, prompt = await hosting.submit_until_prompt("own")
    boss = await Operator().signed_in()
    page = await boss.get(f"/admin/sessions_app/interaction/{prompt.pk}/change/")
    assert "a number of stars" in page
    assert '<option value="4">★★★★</option>' in await boss.get(answer_page(prompt.pk))
    assert "Answered." in await boss.post(answer_page(prompt.pk), {"answer": "4"})
    assert await hosting.result(run) == "4 of 5, by boss"


async def test_operators_see_a_prompt_whose_type_is_gone_and_end_it(
    hosting: Hosting, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, prompt = await hosting.submit_until_prompt("own")
    run, other = await hosting.submit_until_prompt("ann", conversation="d")
    boss = await Operator().signed_in()
    monkeypatch.delitem(base._types, "t_rating")
    for page in (LIST, f"{LIST}{other.pk}/change/", "/admin/sessions_app/auditentry/"):
        assert "How was it?" in await boss.get(page), page
    assert "its kind is not installed here" in await boss.get(f"{LIST}{prompt.pk}/change/")
    assert GONE in await boss.act("interaction", "answer", prompt)
    with_default = {**other.prompt, "default": 3}
    await Interaction.objects.filter(pk=other.pk).aupdate(prompt=with_default)
    page = await boss.act("interaction", "expire", prompt, other)
    assert ("(pending): expired." in page, f"(pending): This server {GONE}" in page) == (True, True)
    assert ": asked to stop." in await boss.act("run", "cancel", run)
    client = AsyncClient()
    await client.aforce_login(await User.objects.aget(pk=hosting.user))
    assert "Nobody" in (await client.get("/c/c/")).content.decode()

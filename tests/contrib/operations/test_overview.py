"""Tests of the admin's first page: runs by version, and those that the code no longer matches."""

from collections.abc import Iterator

import pytest
from django.test import Client
from django.utils.html import strip_tags

from sessions_app.contrib.operations.templatetags.operations import count_deployment
from sessions_app.models import Run
from sessions_app.storage import reads
from sessions_app.workflows import registry
from tests.runtime.replay.test_versions import NAME, deploy, first, redeploy, second
from tests.support.hosting import Hosting, asking

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _declared_for_this_test_only() -> Iterator[None]:
    yield
    registry._declared.pop(NAME, None)
    registry.offer_configured()


async def test_the_admin_says_how_many_runs_each_version_still_has(admin_client: Client) -> None:
    def figures() -> str:
        return " ".join(strip_tags(admin_client.get("/admin/").content.decode()).split())

    deploy(first)
    async with Hosting(NAME) as hosting:
        for number in range(2):
            await hosting.prompts(await hosting.submit(conversation=f"{number}"))
        assert "by version" not in await reads.read(figures)
        await redeploy(hosting, first, second)
        await hosting.prompts(await hosting.submit(conversation="new"))
        line = f"Unfinished runs by version 2 of {NAME} 1 1 of {NAME} 2"
        assert line in await reads.read(figures)
        deploy(second)
        assert f"2 of {NAME} 1 (not declared)" in await reads.read(figures)
        path = f"/admin/sessions_app/run/?workflow={NAME}&version=1"
        response = await reads.read(admin_client.get, f"{path}&finished_at__isnull=True")
        assert response.content.decode().count('class="action-select"') == 2


async def test_waiting_runs_that_the_code_no_longer_matches_are_counted() -> None:
    deploy(first)
    async with asking(NAME) as (_, run, _):
        for problem, mismatches in (("another name", 1), ("", 0)):
            await Run.objects.filter(pk=run).aupdate(replay_problem=problem)
            assert (await reads.read(count_deployment))["mismatches"] == mismatches

"""Parking: only what waits for people is put out of memory."""

import pytest

from bench.workflows import probe
from sessions_app.models import Run
from tests.support.hosting import Hosting

pytestmark = pytest.mark.django_db(transaction=True)

assert probe  # importing it declares it


async def test_an_answered_run_that_waits_for_a_place_goes_on_when_there_is_one() -> None:
    async with Hosting("probe", park_after=0.2, max_concurrency=1) as hosting:
        asked = await hosting.submit("ask")
        await hosting.prompts(asked)
        busy = await hosting.submit("slowstream 1 600", conversation="d")
        await hosting.status(busy, "running")
        await hosting.answer("yes")
        assert (await hosting.ended(busy)).status == Run.Status.COMPLETED
        assert (await hosting.ended(asked)).status == Run.Status.COMPLETED
        assert await hosting.output(asked) == "yes"

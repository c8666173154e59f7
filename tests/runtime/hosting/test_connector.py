"""Tests of how a worker's queries bear a database that does not answer."""

import asyncio

import pytest

from sessions_app.dispatch import connector

pytestmark = pytest.mark.formless


async def test_a_query_that_hangs_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connector, "QUERY_PATIENCE", 0.05)
    asked = []

    async def hang_once(query: str) -> str:
        asked.append(query)
        if len(asked) == 1:
            await asyncio.Event().wait()
        return "a job"

    async with asyncio.timeout(10):
        assert await connector._patiently(hang_once, "SELECT 1", {}) == "a job"
    assert asked == ["SELECT 1", "SELECT 1"]

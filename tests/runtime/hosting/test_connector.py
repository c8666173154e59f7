"""Tests of how a worker's queries bear a database that does not answer."""

import asyncio

import pytest

from sessions_app.dispatch import connector

pytestmark = pytest.mark.formless


async def test_a_query_that_hangs_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connector, "QUERY_PATIENCE", 0.05)
    calls = []

    async def hang_once(query: str) -> str:
        calls.append(query)
        if len(calls) == 1:
            await asyncio.Event().wait()
        return "a job"

    async with asyncio.timeout(10):
        assert await connector._patiently(hang_once, "SELECT 1", {}) == "a job"
    assert calls == ["SELECT 1", "SELECT 1"]

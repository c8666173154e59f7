"""Tests of a worker's queries when the database does not answer."""

import asyncio

import pytest

from sessions_app.hosting.dispatch.job_worker import _patiently

pytestmark = pytest.mark.formless


async def test_a_query_that_hangs_is_asked_again() -> None:
    calls = []

    async def hang_once(query: str) -> str:
        calls.append(query)
        if len(calls) == 1:
            await asyncio.Event().wait()
        return "a job"

    async with asyncio.timeout(10):
        assert await _patiently(hang_once, 0.05)("SELECT 1") == "a job"
    assert calls == ["SELECT 1", "SELECT 1"]

"""The health of a process is its database's, once it hosts runs or others do for it."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
from django.apps import apps
from django.db import OperationalError
from django.test import AsyncClient

from sessions_app.lifecycle import startup
from sessions_app.storage.writer import writer

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
async def runtime(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    # The process goes on: the sockets of other tests are not to hear that it stops.
    monkeypatch.setattr(startup, "before_stop", [])
    # Nor has it to do with this one that the database failed another a moment ago.
    monkeypatch.setattr(writer, "failed_at", float("-inf"))
    await startup.start()
    yield
    await startup.stop()


async def test_health_reports_a_recent_failed_write(
    async_client: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "failed_at", time.monotonic())
    response = await async_client.get("/health")
    assert response.status_code == 503
    assert "takes no writes" in response.json()["reason"]


async def test_health_without_a_database_is_503(
    async_client: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise OperationalError("internal")

    monkeypatch.setattr("chat_app.api.health._ask_database", fail)
    response = await async_client.get("/health")
    assert response.status_code == 503
    assert "database" in response.json()["reason"]


@pytest.mark.local_only("a web process of the cluster hosts nothing")
async def test_work_beside_hosts_goes_on_once_however_often_its_application_gets_ready() -> None:
    await startup.stop()
    apps.get_app_config("hitl_replay").ready()  # again, as where a test installs others
    await startup.start()
    names = [task.get_name() for task in asyncio.all_tasks()]
    assert names.count("replay check") == 1

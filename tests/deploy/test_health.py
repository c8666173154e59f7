"""The health of a process is its database's."""

import sqlite3
import time
from contextlib import closing

import pytest
from django.db import OperationalError
from django.test import AsyncClient

from tests.support.server import Server

pytestmark = pytest.mark.django_db(transaction=True)


async def test_it_is_well(async_client: AsyncClient) -> None:
    response = await async_client.get("/health")
    assert (response.status_code, response.json()) == (200, {"status": "ok"})


async def test_without_a_database_it_says_so(
    async_client: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise OperationalError("internal")

    monkeypatch.setattr("chat_app.api.health._ask_database", fail)
    response = await async_client.get("/health")
    assert response.status_code == 503
    assert "database" in response.json()["reason"]


@pytest.mark.local_only("SQLite's lock is for all of it")
def test_a_database_that_takes_no_writes_is_said_until_it_does(server: Server) -> None:
    with closing(sqlite3.connect(server.data_dir / "db.sqlite3")) as other:
        other.execute("BEGIN IMMEDIATE")
        assert "takes no writes" in status_of(server, 503)
        assert server.get("/live").status == 200
        other.rollback()
    status_of(server, 200)


def status_of(server: Server, wanted: int) -> str:
    """Wait until /health answers with the status; return what it says."""
    deadline = time.monotonic() + 60
    while (answer := server.get("/health")).status != wanted:
        assert time.monotonic() < deadline, answer
        time.sleep(0.1)
    return answer.text

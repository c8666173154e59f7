"""The failures of a server over HTTP: the remedy fits each request, also a DELETE."""

from uuid import uuid4

import pytest
from django.db import OperationalError
from django.test import AsyncClient

from sessions_app.errors import StorageUnavailable
from sessions_app.storage import reads
from tests.support.hosting import make_user

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize(
    ("error", "status", "remedy"),
    [
        (OperationalError("internal"), 503, "Repeat the request later."),
        (StorageUnavailable(), 503, "Repeat the request later."),
        (RuntimeError("internal"), 500, "Try again, or tell the operators of this site."),
    ],
)
async def test_failure_names_a_remedy_that_fits_a_delete(
    monkeypatch: pytest.MonkeyPatch, error: Exception, status: int, remedy: str
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr("chat_app.api.executions.read_run", fail)
    client = AsyncClient()
    await client.aforce_login(await reads.read(make_user, "ann"))
    answer = await client.delete(f"/executions/{uuid4()}")
    problem = answer.json()
    assert (answer.status_code, "retry-after" in answer.headers) == (status, status == 503)
    assert problem["detail"].endswith(remedy)
    assert "internal" not in answer.content.decode()
    assert "Send it again" not in problem["detail"]

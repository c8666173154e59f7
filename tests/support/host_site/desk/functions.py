"""The project's own tests as functions, which pytest runs."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.urls import reverse

from sessions_app import runs
from sessions_app.models import Run


@pytest.fixture
def ann(db: None) -> User:
    return User.objects.create_user("ann")


def test_a_page(client: Any, ann: User) -> None:
    client.force_login(ann)
    assert "ann" in client.get(reverse("chat:inbox")).content.decode()


@pytest.mark.django_db(transaction=True)
async def test_a_coroutine_with_committed_rows(async_client: Any, ann: User) -> None:
    await async_client.aforce_login(ann)
    page = await async_client.get(reverse("chat:inbox"))
    assert "ann" in page.content.decode()
    run = await runs.astart("greeting", "Hello", user=ann)
    assert await Run.objects.filter(pk=run).aexists()


async def test_a_coroutine_in_a_transaction_is_refused(ann: User) -> None:
    with pytest.raises(RuntimeError, match=r"django_db\(transaction=True\)"):
        await runs.astart("greeting", "Hello", user=ann)


@pytest.mark.django_db(transaction=True)
async def test_a_hosted_workflow(host_workflow: Any, ann: User) -> None:
    async with host_workflow("greeting", user=ann) as hosting:
        assert await hosting.converse("Hello", {"name": "Ann"}) == "Hello, Ann!"

"""Lists of the admin take their own filters and searches, and nothing else."""

import time
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.admin import ModelAdmin
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.urls import reverse

from sessions_app import admin_lists
from sessions_app.admin_lists import GuardedList
from sessions_app.models import Conversation, Run
from tests.support.database import operator_rows

OURS = {"sessions_app", "chat_app", "notifications", "oauth", "agents"}
LISTS = [
    model_admin
    for model, model_admin in admin.site._registry.items()
    if model._meta.app_label in OURS
]


def address(model: Any, query: str = "") -> str:
    name = f"{model._meta.app_label}_{model._meta.model_name}"
    return reverse(f"admin:{name}_changelist") + query


@pytest.mark.parametrize("page", LISTS, ids=str)
def test_each_list_takes_no_lookup_but_those_of_its_filters(
    page: "ModelAdmin[Any]", admin_client: Client
) -> None:
    assert isinstance(page, GuardedList)
    for field in page.model._meta.fields:
        for lookup in ("regex", "iregex", "contains", "icontains", "in", "istartswith"):
            response = admin_client.get(address(page.model, f"?{field.name}__{lookup}=^(a%2B)%2B$"))
            assert response.status_code == 400, (field.name, lookup)
    assert admin_client.get(address(page.model)).status_code == 200


def test_pattern_in_the_address_does_not_freeze_the_process(admin_client: Client) -> None:
    Conversation.objects.update(conversation_id="a" * 44 + "!")
    before = time.monotonic()
    query = "?conversation_id__regex=^(a%2B)%2B$"
    assert admin_client.get(address(Conversation, query)).status_code == 400
    assert admin_client.get(address(User, "?username__iregex=^(a%2B)%2B$")).status_code == 400
    assert time.monotonic() - before < 10


@pytest.mark.parametrize(
    "query",
    [
        *(
            "status__exact=failed",
            "finished_at__gte=2026-01-01T00:00Z",
            "created_at__gte=2026-01-01T00:00Z",
        ),
        *("workflow=a&version=1&finished_at__isnull=True", "parent__id__exact=", "q=ann", "p=1"),
        "status__exact=waiting&replay_problem__isempty=0",
    ],
)
def test_filters_and_links_of_pages_are_taken(query: str, admin_client: Client) -> None:
    run = operator_rows.run("failed").pk if "parent" in query else ""
    assert admin_client.get(address(Run, f"?{query}{run}")).status_code == 200


@pytest.mark.cluster_only("SQLite has no limit for a statement's time")
def test_list_that_takes_too_long_ends_with_a_sentence(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admin_lists, "LIST_SECONDS", 0.2)

    def wait(*_: Any) -> Any:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_sleep(5)")

    monkeypatch.setattr(type(admin.site._registry[Run]), "read_beside", wait)
    response = admin_client.get(address(Run))
    assert (response.status_code, b"took too long" in response.content) == (503, True)
    assert admin_client.get(address(Conversation)).status_code == 200

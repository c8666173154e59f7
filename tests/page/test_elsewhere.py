"""The chat in another project: under a prefix, with a sign-in of its own and without an admin."""

import asyncio
import re
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.test import AsyncClient
from django.urls import reverse
from pytest_django import Settings

from chat_app.api import results
from sessions_app.models import Run
from sessions_app.prompts import TextPrompt
from tests.support.database.stored_log import StoredLog
from tests.support.hitl import set_hitl

pytestmark = pytest.mark.django_db(transaction=True)
PATHS = re.compile(r'(?:href|src|action|data-(?:items|list|socket))="(/[^"]*)"')
KNOWN = ("/assistant/", "/static/chat_app/", "/accounts/login/?next=/assistant/")


@pytest.fixture(autouse=True)
def _elsewhere(settings: Settings) -> None:
    settings.ROOT_URLCONF = "tests.support.host_project.prefixed_urls"
    settings.LOGIN_URL = "/accounts/login/"
    set_hitl(settings, SIGN_OUT_URL="", PASSWORD_URL="")


@pytest.fixture
def ann() -> User:
    return User.objects.create_user("ann", is_staff=True)


async def html(client: AsyncClient, path: str) -> str:
    response = await client.get(path)
    assert response.status_code == 200
    return response.content.decode()


@pytest.mark.slow
async def test_every_path_of_the_page_has_the_prefix_and_leads_to_no_missing_app(
    client: AsyncClient, log: StoredLog, run: Run
) -> None:
    await asyncio.to_thread(log.ask, run, TextPrompt(text="Name?"))
    for path in ("/assistant/c/c/", "/assistant/c/c/items/", "/assistant/conversations/"):
        paths = PATHS.findall(await html(client, path))
        assert paths
        assert [one for one in paths if not one.startswith(KNOWN)] == []
    page = await html(client, "/assistant/c/c/")
    assert 'data-socket="/assistant/websocket"' in page
    for missing in ("Admin", "Sign out"):
        assert missing not in page


async def test_forms_lead_back_under_the_prefix(client: AsyncClient) -> None:
    fields = {"text": "hi", "message_id": "m1"}
    response = await client.post("/assistant/c/new/messages/", fields)
    assert (response.status_code, response["Location"]) == (303, "/assistant/c/new/")
    assert (await client.get("/assistant/"))["Location"] == "/assistant/c/new/"
    signed_out = await AsyncClient().get("/assistant/c/new/")
    assert signed_out["Location"] == "/accounts/login/?next=/assistant/c/new/"


@pytest.mark.slow
async def test_the_api_and_its_document_have_the_prefix(client: AsyncClient) -> None:
    document = (await client.get("/assistant/openapi.json")).json()
    assert document["paths"]
    assert [path for path in document["paths"] if not path.startswith("/assistant/")] == []
    assert '"url": "/assistant/openapi.json"' in await html(client, "/assistant/docs")


def test_a_stop_at_a_prompt_names_paths_under_the_prefix() -> None:
    run = uuid4()
    content = {"input_type": "text", "text": "?"}
    frame = {"run_id": run, "interaction_id": uuid4(), "content": content}
    stop = results.stop_at_frames(run, [frame])
    assert stop["status_url"] == f"/assistant/executions/{run}"
    assert stop["response_url"].startswith(f"{stop['status_url']}/interactions/")


async def test_a_plain_request_to_the_socket_is_told_to_upgrade(client: AsyncClient) -> None:
    response = await client.get(reverse("chat:socket"))
    assert (response.status_code, response["Upgrade"]) == (426, "websocket")

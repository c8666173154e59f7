"""The menu of a conversation in the list: its forms, as they work without the script."""

import asyncio

import pytest
from django.contrib.auth.models import User
from django.test import AsyncClient
from django.urls import reverse

from sessions_app.models import Conversation
from tests.page.plain_page import post, press, text_of
from tests.support.database.stored_log import StoredLog

pytestmark = pytest.mark.django_db(transaction=True)


async def store(owner: User, *names: str) -> None:
    """Conversations without a run, the last of them the newest."""
    for name in names:
        await asyncio.to_thread(StoredLog, owner, name, title=f"About {name}")


async def test_a_new_title_is_in_the_list_the_heading_and_the_form(
    client: AsyncClient, ann: User
) -> None:
    await store(ann, "a/b", "newer")
    updated_at = Conversation.objects.values_list("updated_at", flat=True)
    before = await updated_at.aget(conversation_id="a/b")
    here = reverse("chat:rename", args=["a/b"])
    form = await text_of(client, "rename", "a/b")
    page = await press(client, form, "Rename", here, title="  Plums \n & <pears> ")
    escaped = "Plums &amp; &lt;pears&gt;"
    assert f'<span class="title" dir="auto">{escaped}</span>' in page
    assert f'<h1 id="title" dir="auto">{escaped}</h1>' in page
    assert f"<title>{escaped}</title>" in page
    assert f'value="{escaped}"' in await text_of(client, "rename", "a/b")
    assert await updated_at.aget(conversation_id="a/b") == before  # it keeps its place


async def test_an_invalid_title_is_refused_and_stays_in_its_field(
    client: AsyncClient, ann: User
) -> None:
    await store(ann, "c")
    for title, sentence in (
        ("", "The title is empty."),
        (" \n\t\u3000", "The title is empty."),
        ("\u200b\u202e", "The title is empty."),
        ("\u3164\u2800", "The title is empty."),
        ("x" * 201, "The title has 201 characters; at most 200 are allowed."),
        ("a\0b", "The title has a character that cannot be stored"),
    ):
        answer = await post(client, "rename", "c", title=title)
        assert answer.status_code == 422, title
        assert sentence in answer.content.decode()
        assert f'value="{title}"' in answer.content.decode()
    assert await Conversation.objects.values_list("title", flat=True).aget() == "About c"


async def test_any_other_title_is_taken_as_it_is(client: AsyncClient, ann: User) -> None:
    await store(ann, "c")
    for title in ("x" * 200, "<script>alert(1)</script>", "\"'&\u202eevil", "日本"):
        assert (await post(client, "rename", "c", title=title)).status_code == 303, title
        assert await Conversation.objects.values_list("title", flat=True).aget() == title
        assert "<script>alert" not in await text_of(client, "conversation", "c")

"""The menu of a conversation in the list: its forms, as they work without the script."""

import asyncio
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import AsyncClient
from django.urls import reverse

from sessions_app.models import Conversation
from tests.page.plain_page import press
from tests.support.database.stored_log import StoredLog

pytestmark = pytest.mark.django_db(transaction=True)


async def store(owner: User, *names: str) -> None:
    """Conversations without a run, the last of them the newest."""
    for name in names:
        await asyncio.to_thread(StoredLog, owner, name, title=f"About {name}")


async def post(client: AsyncClient, door: str, name: str, **fields: str) -> Any:
    return await client.post(reverse(f"chat:{door}", args=[name]), fields)


async def text_of(client: AsyncClient, door: str, *names: str) -> str:
    return (await client.get(reverse(f"chat:{door}", args=names))).content.decode()


async def test_a_new_title_is_in_the_list_the_heading_and_the_form(
    client: AsyncClient, ann: User
) -> None:
    await store(ann, "a/b", "newer")
    before = await Conversation.objects.values_list("updated_at", flat=True).aget(
        conversation_id="a/b"
    )
    here = reverse("chat:rename", args=["a/b"])
    form = await text_of(client, "rename", "a/b")
    page = await press(client, form, "Rename", here, title="  Plums \n & <pears> ")
    escaped = "Plums &amp; &lt;pears&gt;"
    assert f'<span class="title" dir="auto">{escaped}</span>' in page
    assert f'<h1 id="title" dir="auto">{escaped}</h1>' in page
    assert f"<title>{escaped}</title>" in page
    assert f'value="{escaped}"' in await text_of(client, "rename", "a/b")
    after = await Conversation.objects.values_list("updated_at", flat=True).aget(
        conversation_id="a/b"
    )
    assert after == before  # it keeps its place


async def test_a_title_that_is_none_is_refused_and_stays_in_its_field(
    client: AsyncClient, ann: User
) -> None:
    await store(ann, "c")
    for title, sentence in (
        ("", "The title is empty."),
        (" \n\t\u3000", "The title is empty."),
        ("\u200b\u202e", "The title is empty."),
        ("x" * 201, "The title has 201 characters; at most 200 are taken."),
        ("a\0b", "The title holds a character that cannot be stored"),
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


async def test_nobody_renames_what_is_anothers_or_is_not(client: AsyncClient, ann: User) -> None:
    await store(await User.objects.acreate_user("ben"), "his")
    await store(ann, "hers")
    for name in ("his", "none"):
        assert (await post(client, "rename", name, title="Mine")).status_code == 404
        assert (await client.get(reverse("chat:rename", args=[name]))).status_code == 404
    stranger = await post(AsyncClient(), "rename", "hers", title="Mine")
    assert stranger["Location"].startswith("/sign-in/")
    assert not await Conversation.objects.filter(title="Mine").aexists()

"""An owner who is among the candidates of a question answers it in the conversation."""

import pytest
from django.contrib.auth.models import Group
from django.test import AsyncClient
from django.urls import reverse

from sessions_app.models import Interaction
from sessions_app.storage import reads
from sessions_app.workflows import BinaryPrompt, Context, group
from tests.page.plain_page import text_of
from tests.runtime.replay.deployed import host_code
from tests.support.hosting import asking, make_members

pytestmark = [pytest.mark.formless, pytest.mark.django_db(transaction=True)]

QUESTION = BinaryPrompt(text="Order it?", options=["yes", "no"])
CARD = "<prompt-card"


async def asks_managers(context: Context) -> str:
    return str((await context.ask(QUESTION, to=group("managers"))).value)


async def asks_others(context: Context) -> str:
    return str((await context.ask(QUESTION, to=group("managers"), four_eyes=True)).value)


async def page_of(client: AsyncClient) -> str:
    return await text_of(client, "conversation", "c")


async def test_the_owner_answers_in_the_conversation_what_nobody_else_has_claimed(
    client: AsyncClient,
) -> None:
    [bob] = await reads.read(make_members, "managers", "bob")
    async with asking(host_code(asks_managers)) as (hosting, run, prompt):
        assert CARD not in await page_of(client)  # not of the group yet
        managers = await reads.read(Group.objects.get, name="managers")
        await reads.read(managers.user_set.add, hosting.user)
        html = await page_of(client)
        assert CARD in html
        assert "Needs you" in html
        held = Interaction.objects.filter(pk=prompt.pk)
        await held.aupdate(assignee=bob)
        assert CARD not in await page_of(client)  # somebody else has claimed it
        await held.aupdate(assignee=None)
        answer_url = reverse("chat:answer", args=["c", prompt.pk])
        assert f'action="{answer_url}"' in html
        fields = {"value": "yes", "version": "1", "answer_id": "a"}
        response = await client.post(answer_url, fields)
        assert response.status_code == 303
        assert await hosting.result(run) == "yes"
        assert CARD not in await page_of(client)


async def test_four_eyes_leave_the_owner_without_a_card(client: AsyncClient) -> None:
    await reads.read(make_members, "managers", "bob", "ann")
    async with asking(host_code(asks_others)) as (_, _, prompt):
        html = await page_of(client)
        assert CARD not in html
        assert reverse("chat:prompt", args=[prompt.pk]) in html

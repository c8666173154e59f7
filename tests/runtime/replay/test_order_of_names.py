"""Names stay in the order in which they were written, on both databases."""

from typing import Any
from uuid import UUID

import pytest
from django.test import Client

from sessions_app.models import Conversation, Event, Interaction
from sessions_app.storage import reads
from sessions_app.workflows import Context, TextPrompt
from tests.runtime.replay.deployed import deployed, executed, work

pytestmark = pytest.mark.django_db(transaction=True)

# By the alphabet, as by the length of the names, they would stand otherwise.
DETAILS: dict[str, Any] = {
    "table": {"zone": "eu", "id": 7, "area": "west"},
    "rows": 12,
    "backup": "none",
}
NAMES = ["table", "zone", "id", "area", "rows", "backup"]


async def asking(context: Context) -> str:
    return str((await context.ask(TextPrompt(text="Delete?", details=DETAILS))).value)


async def test_details_are_read_in_the_order_in_which_they_were_given(client: Client) -> None:
    async with deployed(asking) as hosting:
        run, _ = await hosting.prompted()
        prompt = await reads.read(lambda: Interaction.objects.get(run=run).prompt)
        [event] = await reads.read(
            lambda: list(Event.objects.filter(run=run, type=Event.Type.INTERACTION))
        )
        assert str(prompt["details"]) == str(event.payload["prompt"]["details"]) == str(DETAILS)
        page = await reads.read(lambda: shown(client, run))
    places = [page.index(f">{name}<") for name in NAMES]
    assert places == sorted(places)


def shown(client: Client, run: UUID) -> str:
    """The page of the run's conversation."""
    conversation = Conversation.objects.get(runs=run)
    client.force_login(conversation.owner)
    page = client.get(f"/c/{conversation.conversation_id}/")
    return page.content.decode().split('id="items"')[1]


async def test_a_workflow_goes_through_a_step_s_result_in_the_same_order_again() -> None:
    async def going_through(context: Context) -> str:
        found = await context.step(stock)
        done = [await context.step(work, name) for name in found]
        await context.ask(TextPrompt(text="Sure?"))
        return done[0]

    async with deployed(going_through) as hosting:
        run, _ = await hosting.prompted()
        assert await hosting.answered(run, "yes", restart=True) == "pears"
    assert executed == ["pears", "figs"]


def stock() -> dict[str, int]:
    """A step whose names are not in the order of the alphabet."""
    return {"pears": 1, "figs": 2}

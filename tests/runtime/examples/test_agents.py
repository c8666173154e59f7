"""Tests of the example agents of other frameworks: approved, edited, continued after a restart."""

import pytest
from django.contrib.auth.models import User

from natproject.workflows import agents
from sessions_app.contrib.testing.hosting import NewHosting
from tests.support.hosting import SentTo, make_members

pytestmark = pytest.mark.django_db(transaction=True)
EDITED = {"decision": "approve", "arguments": {"order": 17, "euro": 20}}
EXAMPLES = {
    "shop_agent": "I pay order 17 back. \n\nDone: 20 € for order 17 are paid back.",
    "refund_graph": "20 € are paid back.",
}


def test_there_is_an_example_of_each_framework() -> None:
    assert set(agents.__all__) == {"shop", "refunds", "travel"}


@pytest.fixture
def boss() -> User:
    person: User = make_members("managers", "boss")[0]
    return person


@pytest.mark.parametrize("name", EXAMPLES)
async def test_refund_is_edited_after_a_restart(
    host_workflow: NewHosting, boss: User, name: str
) -> None:
    async with host_workflow(name, replay_everywhere=True) as hosting:
        run = await hosting.send("Pay order 17 back")
        [approval] = await run.prompts()
        assert approval.model_dump()["arguments"] == {"order": 17, "euro": 40}
        await hosting.restart()
        await run.answer(EDITED, by=boss if name == "shop_agent" else None)
        output, _, _ = (await run.result()).partition("\n\nThe person who allowed it changed")
        assert output == EXAMPLES[name]


@pytest.mark.slow
async def test_train_is_booked_for_whom_the_server_asks_after_a_restart(
    sent_to: SentTo,
) -> None:
    async with sent_to("travel", "Book me a train to Rome") as (hosting, run):
        await run.answer("approve", to="Travel book Rome")
        assert len(await run.prompts()) == 1
        await hosting.restart()
        await run.answer({"name": "Ada"}, to="travel asks:")
        assert await run.result() == "I look for trains. \n\nHave a good time."
        assert await run.shown() == ["Travel find trains Rome", *["Travel book Rome"] * 2]

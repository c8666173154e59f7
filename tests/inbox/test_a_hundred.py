"""A hundred people have their inbox open while one of them answers."""

from contextlib import AsyncExitStack

import pytest

from tests.inbox.people import make_group
from tests.support.server import Server
from tests.support.websocket import WsClient

pytestmark = pytest.mark.every_form(reason="what one does, others hear through another process")

PEOPLE = 100


@pytest.mark.slow
@pytest.mark.timeout(180)
async def test_every_inbox_hears_that_a_prompt_was_answered(server: Server) -> None:
    people = server.create_users(PEOPLE)
    make_group(server, people=people)
    async with AsyncExitStack() as stack:
        sockets = [
            await stack.enter_async_context(WsClient(server, user=name, waiting="inbox"))
            for name in people
        ]
        for each in sockets:
            assert (await each.until("waiting_message", timeout=30))["waiting"] == 0
        asker = await stack.enter_async_context(WsClient(server, "c", workflow="probe"))
        await asker.message('ask_others(to="managers")')
        for each in sockets:
            assert (await each.until("waiting_message", timeout=30))["waiting"] == 1
        [prompt] = server.rows("SELECT id FROM sessions_app_interaction")
        await sockets[0].answer("yes", interaction_id=str(prompt["id"]))
        for each in sockets:
            assert (await each.until("waiting_message", timeout=30))["waiting"] == 0

"""The places of workers: whose run gets the next that is free."""

from contextlib import AsyncExitStack

import pytest

from tests.conftest import NewServer
from tests.support.websocket import WsClient

QUEUED = "SELECT 1 FROM sessions_app_run WHERE status = 'queued'"


@pytest.mark.long
@pytest.mark.cluster_only("one process has a place for every conversation")
async def test_a_second_user_gets_the_next_that_is_free(new_server: NewServer) -> None:
    server = new_server(worker_options=("--concurrency", "2"))
    async with AsyncExitStack() as stack:
        for number in range(12):
            ann = await stack.enter_async_context(WsClient(server, f"c{number}", workflow="probe"))
            await ann.message("slowstream 10 500")
            await ann.until("ack_message")
        ben = await stack.enter_async_context(WsClient(server, "b", user="ben", workflow="probe"))
        await ben.message("echo hello")
        await ben.until(lambda frame: frame["content"].get("status") == "completed")
        assert len(server.rows(QUEUED)) >= 5  # ann's

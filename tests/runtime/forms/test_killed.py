"""Tests that kill the server while a form waits, and after the answer."""

import asyncio

import pytest

from tests.http.client import Http
from tests.runtime.hosting.test_crashes import back, killed_at, socket
from tests.support.server import Server

ORDER = {"supplier": "Bolts", "pieces": 7, "price": "2.50", "to": ["a", "b"], "letter": "x\ny"}
GIVEN = {**ORDER, "express": False}


@pytest.mark.slow
async def test_a_form_waits_through_a_kill_and_its_answer_through_another(server: Server) -> None:
    killed_socket = await killed_at(server, 'prompt(kind="proposal")', "system_interaction_message")
    [first] = killed_socket.of_type("system_interaction_message")
    async with back(server, killed_socket) as client:
        prompt = await client.until("system_interaction_message")
        assert prompt["content"] == first["content"]
        frame = {"type": "user_interaction_message", "interaction_id": prompt["id"], "id": "a1"}
        await client.send({**frame, "data": GIVEN})
        assert (await client.reply_to("a1"))["outcome"] == "accepted"
        server.kill()
    server.restart()
    async with socket(server, "c", last_sequence=0) as last:
        await last.until_ended("completed")
        output = "Order(supplier='Bolts', pieces=7, price=Decimal('2.50'), to=['a', 'b']"
        assert last.text().startswith(output)
        await last.send({**frame, "data": GIVEN})
        assert (await last.reply_to("a1"))["outcome"] == "duplicate"


@pytest.mark.slow
async def test_a_file_of_a_form_outlasts_kills(server: Server) -> None:
    async with socket(server, "c") as client:
        prompt = await client.message_until_prompt('prompt(kind="receipt")')
        fields = {"value": "approve", "f-euro": "3", "f-receipt": ("taxi.csv", "1,2")}
        path = f"/p/{prompt['id']}/answer/"
        assert (await asyncio.to_thread(Http(server).multipart, path, fields)).status == 303
        server.kill()
    server.restart()
    async with socket(server, "c", last_sequence=0) as last:
        await last.until_ended("completed")
        assert last.text().endswith(" taxi.csv b'1,2'")
    # Without `taken_at`, the file would be deleted after a day, as one that was never sent.
    taken = "SELECT 1 FROM sessions_app_attachment WHERE taken_at IS NOT NULL"
    assert len(await asyncio.to_thread(server.rows, taken)) == 1

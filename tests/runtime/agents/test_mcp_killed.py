"""The server is killed while its agent uses tools of an MCP server, which lives on."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.runtime.agents.mcp_process import serving, url_of
from tests.runtime.hosting.test_crashes import (
    assert_gap_free,
    back,
    socket,
)
from tests.support.polling import until
from tests.support.server import Server, free_port
from tests.support.websocket import WsClient

pytestmark = pytest.mark.slow

PROMPT = "system_interaction_message"
WHOLE = ["forecast Oslo", "stay Rome begins", "book Rome Ada"]


@pytest.fixture(params=["legacy", "auto"])
def mode(request: pytest.FixtureRequest) -> str:
    """Return the era of the protocol: of 2025, and of 2026."""
    return str(request.param)


class Sky:
    """The MCP server: where it is, and what it has done."""

    def __init__(self, log: Path) -> None:
        self.log = log
        self.port = free_port()

    def message(self, mode: str, seconds: float = 0) -> str:
        """Return what has the probe use its tools."""
        return f"mcp_agent(mode={mode!r}, url={url_of(self.port)!r}, seconds={seconds})"

    def done(self) -> list[str]:
        """Return what it has done, without that it has asked."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [line for line in lines if not line.startswith("asks")]


@pytest.fixture
def sky(tmp_path: Path) -> Iterator[Sky]:
    """Serve the tools."""
    sky = Sky(tmp_path / "sky.log")
    with serving(sky.log, sky.port):
        yield sky


async def booked(server: Server, client: WsClient) -> None:
    """Answer the question of the MCP server, and read to the end."""
    form = await client.until(PROMPT)
    assert form["content"]["text"].startswith("sky asks:")
    frame = {"type": "user_interaction_message", "interaction_id": form["id"], "id": "a1"}
    await client.send({**frame, "data": {"name": "Ada"}})
    await client.until_ended("completed")
    assert_gap_free(server)


async def test_kill_at_the_question_of_a_server_repeats_no_call(
    server: Server, sky: Sky, mode: str
) -> None:
    async with socket(server, "c") as killed_socket:
        await killed_socket.message(sky.message(mode))
        await killed_socket.answer("approve", await killed_socket.until(PROMPT))
        first = await killed_socket.until(PROMPT)
        server.kill()
    server.restart()
    async with back(server, killed_socket) as client:
        again = await client.until(PROMPT)
        assert again["id"] == first["id"]
    async with back(server, killed_socket) as client:
        await booked(server, client)
    assert await asyncio.to_thread(sky.done) == WHOLE


@pytest.mark.parametrize(("answer", "count"), [("done", 1), ("again", 2)])
async def test_kill_inside_a_tool_asks_before_it_is_called_again(
    server: Server, sky: Sky, answer: str, count: int
) -> None:
    async with socket(server, "c") as killed_socket:
        await killed_socket.message(sky.message("auto", 2))
        await asyncio.to_thread(until, lambda: "stay Rome begins" in sky.done())
        server.kill()
    server.restart()
    async with back(server, killed_socket) as client:
        question = await client.until(PROMPT)
        assert question["content"]["text"].startswith("Was this done: Sky stay Rome?")
        await client.answer(answer, question)
        await client.answer("approve", await client.until(PROMPT))
        await booked(server, client)
    done = await asyncio.to_thread(sky.done)
    assert done == [WHOLE[0], *[WHOLE[1]] * count, WHOLE[2]]

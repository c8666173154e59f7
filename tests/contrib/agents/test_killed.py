"""An agent's server is killed at the worst moments: no recorded call is made again.

Our own loop meets all of them. An agent of Pydantic AI and a graph of LangGraph meet the two in
which their own records count: within a tool, and between an approval and its call. Pydantic AI asks
after a kill within a payment, too.
"""

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.contrib.agents.mcp_process import serving, url_of
from tests.contrib.agents.workflows.agents import WORDS
from tests.runtime.hosting.test_crashes import (
    assert_gap_free,
    back,
    killed_at,
    killed_before_answer,
    socket,
)
from tests.support.polling import until
from tests.support.received_frames import asks_or_ends
from tests.support.server import Server, free_port
from tests.support.websocket import WsClient

TEXT = "".join(WORDS) + "\n\nIt is paid."
PROMPT = "system_interaction_message"


def effect_lines(server: Server) -> list[list[str]]:
    log = server.data_dir / "probe.log"
    return [line.split() for line in log.read_text().splitlines()] if log.exists() else []


def effects(server: Server) -> Counter[str]:
    """Return how often each thing was done outside, without the ids of calls."""
    return Counter(" ".join([*line[:2], *line[2:][-1:]]) for line in effect_lines(server))


def once(*names: str) -> Counter[str]:
    return Counter(f"{name} {end}" for name in names for end in ("begins", "ends"))


MORE_KILLS = pytest.mark.beyond("a kill repeats no call of each kind of agent and server")
CAREFUL = [
    f"careful_{one}" for one in ("workflow", "agent", "pydantic_ai_agent", "langchain_agent")
]
# A node of a graph that dies before its record runs again.
REPEATED = ["careful_langchain_agent"]
KINDS = ["agent", "pydantic_ai_agent", "langgraph_agent"]


def whole(kind: str) -> Counter[str]:
    """Return what is done outside where nothing is cut off; a graph asks no model for its tools."""
    turns = (0, 3) if kind == "langgraph_agent" else range(4)
    tools = once("look 1", "look 2", "look 3", "pay 5")
    return tools + Counter(f"model {turn}" for turn in turns)


async def killed_after(server: Server, text: str, effect: str) -> WsClient:
    """Kill the server once it has done so much outside, and start it again."""
    async with socket(server, "c") as client:
        await client.message(text)
        await asyncio.to_thread(until, lambda: effects(server)[effect])
        server.kill()
    server.restart()
    return client


async def approved(server: Server, client: WsClient, **answer: Any) -> str:
    """Approve the payment, and return all that people have read at the end."""
    async with back(server, client) as socket_after:
        await socket_after.answer("approve", await socket_after.until(PROMPT), **answer)
        await socket_after.until_ended("completed")
    assert_gap_free(server)
    async with socket(server, "c", last_sequence=0) as reader:
        await reader.until_ended("completed")
        return reader.text()


@pytest.mark.slow
async def test_kill_at_a_prompt_repeats_nothing(server: Server) -> None:
    killed_socket = await killed_at(server, "agent(delay=0.001, seconds=0)", PROMPT)
    assert await approved(server, killed_socket) == TEXT
    assert effects(server) == whole("agent")


@pytest.mark.slow
async def test_kill_within_an_answer_asks_the_model_again(server: Server) -> None:
    killed_socket = await killed_at(server, "agent(delay=0.025, seconds=0)", 5)
    assert await approved(server, killed_socket) == TEXT
    assert effects(server) == whole("agent") + Counter(["model 0"])


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind", ["agent", *(pytest.param(kind, marks=MORE_KILLS) for kind in KINDS[1:])]
)
async def test_kill_inside_a_tool_calls_that_tool_again(server: Server, kind: str) -> None:
    killed_socket = await killed_after(server, f"{kind}(delay=0.001, seconds=0.5)", "look 3 begins")
    assert await approved(server, killed_socket) == TEXT
    assert effects(server) == whole(kind) + Counter(["look 3 begins"])


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
async def test_kill_between_approval_and_payment_pays_once(server: Server, kind: str) -> None:
    killed_socket = await killed_before_answer(server, f"{kind}(delay=0.001, seconds=0)", "approve")
    async with back(server, killed_socket) as client:
        await client.until_ended("completed")
    assert effects(server) == whole(kind)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "choice", "difference"),
    [
        ("agent", "done", ["pay 5 begins"]),
        pytest.param("agent", "unknown", ["pay 5 begins"], marks=MORE_KILLS),
        ("agent", "again", ["pay 5 begins", "pay 5 begins", "pay 5 ends"]),
        pytest.param("pydantic_ai_agent", "done", ["pay 5 begins"], marks=MORE_KILLS),
    ],
)
async def test_kill_inside_a_payment_asks_whether_it_was_made(
    server: Server, kind: str, choice: str, difference: list[str]
) -> None:
    async with socket(server, "c") as killed_socket:
        await killed_socket.message(f"{kind}(delay=0.001, seconds=0.5)")
        await killed_socket.answer("approve", await killed_socket.until(PROMPT))
        await asyncio.to_thread(until, lambda: effects(server)["pay 5 begins"])
        server.kill()
    server.restart()
    async with back(server, killed_socket) as client:
        question = await client.until(PROMPT)
        assert question["content"]["text"].startswith("Was this done: Pay 5?")
        await client.answer(choice, question)
        await client.until_ended("completed")
    assert effects(server) == whole(kind) - once("pay 5") + Counter(difference)
    call_ids = {line[2] for line in effect_lines(server) if line[0] == "pay"}
    assert len(call_ids) == 1


@pytest.mark.beyond("a hundred kills around an approved payment double none, even in a later run")
@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("kind", CAREFUL)
async def test_payment_before_a_kill_and_a_stop_is_not_made_by_the_next_message(
    server: Server, kind: str
) -> None:
    for number in range(100):
        conversation = f"c{number}"
        async with socket(server, conversation) as client:
            await client.message(f"{kind}(seconds=0.1)")
            await client.answer("approve", await client.until(PROMPT))
            if kind in REPEATED:  # from the record of the payment until after the answer
                told = ["told", conversation]
                await asyncio.to_thread(until, lambda: told in effect_lines(server))  # noqa: B023
                await asyncio.sleep(number * 0.0005)
            else:
                await asyncio.sleep(
                    number * 0.004
                )  # from before the payment until after its answer
            server.kill()
        server.restart()
        async with socket(server, conversation, last_sequence=0) as client:
            await client.send({"type": "stop_message"})
            await client.until_ended()
            await client.message(f"{kind}(seconds=0)")
            frame = await client.until(asks_or_ends)
            if frame["type"] == PROMPT:  # the kill came before the payment
                await client.answer("approve", frame)
                await client.until_ended("completed")
    begun = Counter(line[1] for line in effect_lines(server) if line[2:] == ["begins"])
    assert max(begun.values()) == 1
    # A kill between the record of the beginning and the call leaves it unknown: nobody pays again.
    assert len(begun) >= 90


@pytest.mark.slow
@pytest.mark.parametrize(  # the eras of the protocol: 2025 and 2026
    "mode", [pytest.param("legacy", marks=MORE_KILLS), "auto"]
)
async def test_kill_at_the_question_of_an_mcp_server_repeats_no_call(
    server: Server, tmp_path: Path, mode: str
) -> None:
    """The MCP server lives on."""
    log, port = tmp_path / "sky.log", free_port()
    with serving(log, port):
        async with socket(server, "c") as killed_socket:
            await killed_socket.message(f"mcp_agent({mode!r}, {url_of(port)!r}, seconds=0)")
            await killed_socket.answer("approve", await killed_socket.until(PROMPT))
            first = await killed_socket.until(PROMPT)
            server.kill()
        server.restart()
        async with back(server, killed_socket) as client:
            form = await client.until(PROMPT)
            assert form["id"] == first["id"]
            assert form["content"]["text"].startswith("sky asks:")
            frame = {"type": "user_interaction_message", "interaction_id": form["id"], "id": "a1"}
            await client.send({**frame, "data": {"name": "Ada"}})
            await client.until_ended("completed")
    assert_gap_free(server)
    done = [line for line in log.read_text().splitlines() if not line.startswith("asks")]
    assert done == ["forecast Oslo", "stay Rome begins", "book Rome Ada"]

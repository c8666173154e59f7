"""A server that hosts a configuration of the toolkit is killed: nothing recorded is done again."""

import asyncio
from collections import Counter
from pathlib import Path

import pytest

from tests.conftest import NewServer
from tests.contrib.agents.workflows.agents import WORDS
from tests.runtime.hosting.test_crashes import SETTLE, last_sequence
from tests.support.polling import until
from tests.support.processes.command import run
from tests.support.received_frames import asks_or_ends
from tests.support.server import Server
from tests.support.websocket import WsClient

PROMPT = "system_interaction_message"
TEXT = "".join(WORDS) + "It is paid."
DONE = ["model streamed", "model invoked"]
DONE += [
    f"{what} {end}"
    for what in ("look 1", "look 2", "look 3", "pay 5")
    for end in ("begins", "ends")
]
# Where a run is when the server is killed; what it takes its time for, and what is done again.
WORKING = {
    "model": ("250", "model streamed", ["model streamed"]),
    "function": ("5000", "look 3 begins", ["look 3 begins"]),
}
ENVIRONMENT = {
    "DJANGO_SETTINGS_MODULE": "tests.nat.settings",
    "WORKFLOWS_FILE": str(Path(__file__).with_name("workflows.yaml")),
}
SETTLED = SETTLE.replace("continue", "yes")


def socket(server: Server, place: str, last_sequence: int | None = None) -> WsClient:
    """Return a socket of the conversation whose run is at that place."""
    return WsClient(server, place, workflow="killed", last_sequence=last_sequence)


def effects(server: Server, place: str) -> Counter[str]:
    log = (server.data_dir / "probe.log").read_text().splitlines()
    return Counter(line.removeprefix(f"{place}: ") for line in log if line.startswith(place))


async def until_working(server: Server, place: str) -> WsClient:
    milliseconds, effect, _ = WORKING[place]
    async with socket(server, place) as client:
        await client.message(f"{place} {milliseconds}")
        await asyncio.to_thread(until, lambda: effects(server, place)[effect])
    return client


async def read_to_the_end(server: Server, client: WsClient, place: str) -> str:
    """Answer what is asked, and return all that people have read."""
    if place in WORKING:
        async with socket(server, place, last_sequence=last_sequence(client)) as answerer:
            question = await answerer.until(PROMPT)
            await answerer.answer("yes", question)
            await answerer.until_ended("completed")
    async with socket(server, place, last_sequence=0) as reader:
        await reader.until_ended("completed")
        return reader.text()


async def test_kill_repeats_nothing_that_is_recorded(new_server: NewServer) -> None:
    server = new_server(**ENVIRONMENT)
    async with socket(server, "answered") as asked:
        await asked.message("answered")
        await asked.until(PROMPT)
    working = await asyncio.gather(*(until_working(server, place) for place in WORKING))
    server.kill()
    # Stored while no host lives: just what a kill between commit and next line leaves.
    process = await asyncio.to_thread(
        run, "manage.py", "shell", "--no-imports", "-c", SETTLED, env=server.environment
    )
    assert "accepted" in process.stdout, process.stderr
    server.restart()
    clients = {"answered": asked, **dict(zip(WORKING, working, strict=True))}
    texts = [read_to_the_end(server, client, place) for place, client in clients.items()]
    assert await asyncio.gather(*texts) == [TEXT] * len(clients)
    for place in clients:
        again = WORKING[place][2] if place in WORKING else []
        assert effects(server, place) == Counter([*DONE, *again]), place


@pytest.mark.beyond("a hundred kills behind an approved payment double none, even in a later run")
@pytest.mark.timeout(1800)
async def test_payment_before_a_kill_and_a_stop_is_not_made_by_the_next_message(
    new_server: NewServer,
) -> None:
    server = new_server(**ENVIRONMENT)

    def lines() -> list[str]:
        log = server.data_dir / "probe.log"
        return log.read_text().splitlines() if log.exists() else []

    for number in range(100):
        place = f"c{number}"
        async with WsClient(server, place, workflow="careful") as client:
            await client.message("Pay")
            await client.answer("yes", await client.until(PROMPT))
            await asyncio.to_thread(until, lambda: f"told {place}" in lines())  # noqa: B023
            await asyncio.sleep(number * 0.001)
            server.kill()
        server.restart()
        async with WsClient(server, place, workflow="careful", last_sequence=0) as client:
            await client.send({"type": "stop_message"})
            await client.until_ended()
            await client.message("Go on")
            frame = await client.until(asks_or_ends)
            assert frame["type"] != PROMPT
    begun = Counter(line for line in lines() if line.endswith("begins"))
    assert (len(begun), max(begun.values())) == (100, 1)

"""Web processes and workers go on without their Redis, slower, and are quick again when it is back.

The Redis of these tests is theirs, to be killed and frozen.
"""

import asyncio

import pytest

from natproject.cluster.servers import Redis
from sessions_app.contrib.testing.polling import until_true
from tests.conftest import NewServer
from tests.support.server import Server
from tests.support.websocket import WsClient

pytestmark = pytest.mark.cluster_only("the form of one process has no Redis")

LIVE = 1.5  # seconds in which an event arrives by Redis, with all that it takes on a busy machine
SWEPT = 10.0  # without: several polls and sweeps of seconds each
# Where sweeps are seldom, what arrives sooner has come by Redis, however busy the machine is.
SELDOM, SOON, SWEPT_SELDOM = 10, 5.0, 30.0


@pytest.fixture
def server(new_server: NewServer, redis: Redis) -> Server:
    return new_server(REDIS_URL=redis.url(0))


@pytest.fixture
def second(new_server: NewServer, server: Server, redis: Redis) -> Server:
    return start_second_process(server, new_server, REDIS_URL=redis.url(0))


def start_second_process(server: Server, new_server: NewServer, **env: str) -> Server:
    other = new_server(start=False, workers=0, **env)
    other.store.drop()
    other.store, other.cookies = server.store, server.cookies
    other.start()
    return other


async def until_open(client: WsClient) -> None:
    await client.send({"type": "ping_message"})
    await client.until("pong_message")


async def answer_to_next_prompt(client: WsClient, timeout: float) -> str:
    await client.answer("continue")
    prompt = await client.until("system_interaction_message", timeout=timeout)
    return str(prompt["id"])


async def until_shown(client: WsClient, prompt: str, timeout: float = LIVE) -> None:
    await client.until(lambda frame: bool(frame["id"] == prompt), timeout)


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["kill", "freeze"])
async def test_a_conversation_goes_on_without_redis_and_is_quick_when_it_is_back(
    server: Server, redis: Redis, fault: str
) -> None:
    async with WsClient(server, "c", workflow="probe") as before:
        await before.message("approve(count=9)")
        await before.until("system_interaction_message", timeout=SWEPT)
        await answer_to_next_prompt(before, LIVE)
        getattr(redis, fault)()
        await answer_to_next_prompt(before, SWEPT)
        async with WsClient(server, "c", workflow="probe") as during:
            await during.until("system_interaction_message")
            await answer_to_next_prompt(during, SWEPT)
            redis.thaw()
            redis.start()
            await until_true(lambda: server.log.count("redis.works_again") == 2, SWEPT)
            for _ in range(3):
                prompt = await answer_to_next_prompt(during, LIVE)
                await until_shown(before, prompt)
    assert server.log.count("redis.failed") == 2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "within"),
    [("", LIVE), ("kill", 10), ("freeze", 10)],
)
async def test_signing_out_closes_the_sockets_on_every_process_also_without_redis(
    server: Server, second: Server, redis: Redis, fault: str, within: float
) -> None:
    async with WsClient(server, "c") as one, WsClient(second, "c") as other:
        await until_open(one)
        await until_open(other)
        if fault:
            getattr(redis, fault)()
        await asyncio.to_thread(server.sign_out, "ann")
        assert await one.until_closed() == 4401
        assert await other.until_closed(timeout=within) == 4401


@pytest.mark.slow
@pytest.mark.parametrize(
    "layer",
    [
        "pubsub.RedisPubSubChannelLayer",
        pytest.param(
            "core.RedisChannelLayer",
            marks=pytest.mark.beyond("the older layer of channels-redis goes on over an outage"),
        ),
    ],
)
async def test_with_a_layer_of_channels_redis_two_processes_go_on_over_an_outage(
    new_server: NewServer, redis: Redis, layer: str
) -> None:
    settings = {
        "DJANGO_SETTINGS_MODULE": "tests.support.redis_layer",
        "LAYER": f"channels_redis.{layer}",
        "REDIS_URL": redis.url(0),
        "SWEEP_SECONDS": str(SELDOM),
    }
    server = new_server(**settings)
    second = start_second_process(server, new_server, **settings)
    async with (
        WsClient(server, "c", workflow="probe") as one,
        WsClient(second, "c", workflow="probe") as other,
    ):
        await one.message("approve(count=9)")
        await one.until("system_interaction_message", timeout=SWEPT_SELDOM)
        await other.until("system_interaction_message", timeout=SWEPT_SELDOM)
        for client, witness in ((one, other), (other, one)):
            prompt = await answer_to_next_prompt(client, SOON)
            await until_shown(witness, prompt, SOON)
        redis.kill()
        await answer_to_next_prompt(one, SWEPT_SELDOM)
        cursor = max(frame.get("sequence", 0) for frame in one.frames)
        prompt = await answer_to_next_prompt(one, SWEPT_SELDOM)
        redis.start()
        async with WsClient(second, "c", last_sequence=cursor) as back:
            await until_shown(back, prompt, SWEPT_SELDOM)
            await until_shown(back, await answer_to_next_prompt(one, SWEPT_SELDOM), SWEPT_SELDOM)
        await until_shown(other, await answer_to_next_prompt(one, SWEPT_SELDOM), SWEPT_SELDOM)
    sequences = [frame["sequence"] for frame in other.frames if "sequence" in frame]
    assert sequences == sorted(sequences)

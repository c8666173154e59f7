"""Messages, conversations, requests and guests by user and by address, at every door."""

import asyncio
import gc
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.test import AsyncClient
from django.urls import reverse
from pytest_django import Settings

from chat_app.rates import rate_limits, submit
from chat_app.rates.submission import MESSAGES_PER_COUNT
from sessions_app.conversations.messages import IncomingMessage
from sessions_app.errors import TooMany
from sessions_app.models import Conversation, Run
from tests.support.hitl import set_hitl
from tests.wire.local_socket import LocalSocket

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("_writer")]


@pytest.fixture(autouse=True)
async def _none_counted() -> AsyncIterator[None]:
    rate_limits.clear()
    yield
    rate_limits.clear()


@pytest.fixture
def user() -> User:
    """Return a user whose number Redis has not heard of."""
    return User.objects.create_user("ann", pk=uuid4().int % 2**31)


@pytest.fixture
def page(user: User) -> AsyncClient:
    client = AsyncClient()
    client.force_login(user)
    return client


async def send(
    page: AsyncClient, name: str = "c", message_id: str = "", text: str = "Hello"
) -> Any:
    form = {"text": text, "message_id": message_id or uuid4().hex}
    return await page.post(reverse("chat:send", args=[name]), form)


async def messages() -> int:
    return await Run.objects.acount()


async def test_a_socket_is_told_when_to_come_back(settings: Settings, user: User) -> None:
    set_hitl(settings, RATE_MESSAGES_USER="2/hour")
    async with LocalSocket(user, conversation_id="c") as socket:
        for number in range(2):
            await socket.say("Hello", id=f"m{number}")
            await socket.until("ack_message")
        await socket.say("Too much", id="m2")
        error = await socket.until("error_message")
        assert (error["for"], error["content"]["code"]) == ("m2", "workflow_error")
        assert "Too many messages. Try again in 30 minutes." in error["content"]["message"]
        assert error["details"]["reason"] == "too_many"
        assert 1700 < error["details"]["retry_after"] <= 1800
        # What was taken is acknowledged again, however often it is sent.
        await socket.say("Hello", id="m1")
        duplicate_ack = await socket.until(lambda frame: frame.get("outcome") == "duplicate")
        assert duplicate_ack["for"] == "m1"
        await socket.until_settled()
    assert await messages() == 2


@pytest.mark.parametrize(
    ("limit", "before", "says", "seconds"),
    [
        ({"RATE_MESSAGES_USER": "1/hour"}, ["c"], "Too many messages.", 3600),
        (
            {"RATE_CONVERSATIONS_USER": "2/hour"},
            ["c", "d", "d"],
            "Too many new conversations.",
            1800,
        ),
        ({"RUNS_PER_USER": 2}, ["c", "c"], "Too many unfinished runs.", 60),
    ],
    ids=["messages", "conversations", "runs"],
)
async def test_at_a_limit_of_the_page_nothing_typed_is_lost(
    settings: Settings, page: AsyncClient, limit: Any, before: list[str], says: str, seconds: int
) -> None:
    set_hitl(settings, **limit)
    for number, name in enumerate(before):
        assert (await send(page, name, message_id=f"m{number}")).status_code == 303
    response = await send(page, "another", text="My long letter")
    assert response.status_code == 429
    assert seconds - 100 < int(response["Retry-After"]) <= seconds
    html = response.content.decode()
    assert [words for words in ("My long letter", says) if words not in html] == []
    assert (await send(page, message_id="m0")).status_code == 303
    assert await messages() == len(before)


async def test_a_run_that_ends_makes_room_for_one(settings: Settings, page: AsyncClient) -> None:
    set_hitl(settings, RUNS_PER_USER=1)
    assert (await send(page)).status_code == 303
    await Run.objects.aupdate(status=Run.Status.COMPLETED)
    assert [(await send(page)).status_code for _ in range(2)] == [303, 429]


UNKNOWN = f"/v1/prompts/{uuid4()}/response"


@pytest.mark.parametrize(
    ("rate", "body", "statuses", "says"),
    [
        ("RATE_API_USER=1/hour", "x", [404, 429], "Too many requests. Try again in 60 minutes."),
        ("RATE_BYTES_USER=1000/hour", "x" * 600, [404, 429], "Too many bytes. Try again in "),
        ("RATE_API_USER=9/hour", [[]] * 10_000, [422, 422], "at most 10,000 are allowed"),
    ],
    ids=["requests", "bytes", "values"],
)
async def test_a_request_over_http_is_told_when_to_come_back(
    settings: Settings, page: AsyncClient, rate: str, body: Any, statuses: list[int], says: str
) -> None:
    set_hitl(settings, **dict([rate.split("=")]))
    answer = {"response": {"data": {"a": body}}}
    responses = [await page.post(UNKNOWN, answer, "application/json") for _ in statuses]
    assert [response.status_code for response in responses] == statuses
    refusal = responses[-1]
    problem = refusal.json()
    assert refusal["Content-Type"] == "application/problem+json"
    assert says in problem["detail"]
    if statuses[-1] == 429:
        assert (problem["code"], problem["reason"]) == ("workflow_error", "too_many")
        assert 700 < problem["retry_after"] <= 3600
        assert str(problem["retry_after"]) == refusal["Retry-After"]


async def test_an_address_has_a_share_of_its_own(settings: Settings, page: AsyncClient) -> None:
    set_hitl(settings, RATE_MESSAGES_ADDRESS="1/hour", PROXIES=1)
    here, there = uuid4().hex, uuid4().hex
    url, form = reverse("chat:send", args=["c"]), {"text": "Hello"}
    for address, status in ((here, 303), (here, 429), (there, 303)):
        response = await page.post(url, form, headers={"x-forwarded-for": address})
        assert response.status_code == status


async def say(user: User, name: str) -> Any:
    """Send a message as the page, the socket and the HTTP interface do."""
    message = IncomingMessage(uuid4().hex, "Hello")
    return await submit(owner=user.pk, address="", conversation_id=name, message=message)


def refusals(outcomes: Sequence[Any]) -> int:
    assert all(isinstance(one, TooMany) for one in outcomes if isinstance(one, Exception))
    return sum(isinstance(one, TooMany) for one in outcomes)


async def test_new_conversations_that_begin_at_the_same_time_count_each_other(
    settings: Settings, user: User
) -> None:
    set_hitl(settings, RATE_CONVERSATIONS_USER="5/hour")
    await say(user, "old")
    outcomes = await asyncio.gather(
        *(say(user, f"c{number}") for number in range(20)), return_exceptions=True
    )
    assert refusals(outcomes) == 16
    assert await Conversation.objects.acount() == 5


async def test_runs_that_begin_at_the_same_time_count_each_other(
    settings: Settings, user: User
) -> None:
    set_hitl(settings, RUNS_PER_USER=MESSAGES_PER_COUNT + 1)
    for number in range(MESSAGES_PER_COUNT):  # so many are not looked for
        await say(user, f"{number}")
    outcomes = await asyncio.gather(*(say(user, "c") for _ in range(20)), return_exceptions=True)
    assert refusals(outcomes) == 19
    assert await messages() == MESSAGES_PER_COUNT + 1


async def test_a_socket_that_sends_too_many_bytes_is_told_and_closed(
    settings: Settings, user: User
) -> None:
    set_hitl(settings, RATE_BYTES_USER="1000/hour")
    ben = await User.objects.acreate(username="ben")

    def large(message_id: str) -> dict[str, str]:
        return {"type": "ping_message", "id": message_id, "padding": "x" * 400}

    async with LocalSocket(user) as socket, LocalSocket(ben) as other:
        for message_id in ("p1", "p2", "p3"):
            await socket.send(large(message_id))
        assert await socket.until_closed() == 4429
        assert [frame["for"] for frame in socket.of_type("pong_message")] == ["p1", "p2"]
        [error] = socket.of_type("error_message")
        assert (error["for"], error["details"]["reason"]) == ("p3", "too_many")
        assert error["details"]["retry_after"] > 60
        assert error["content"]["message"].startswith("Too many bytes. Try again in ")
        await other.send(large("p4"))
        assert (await other.reply_to("p4"))["type"] == "pong_message"


async def test_an_address_makes_so_many_guests(settings: Settings) -> None:
    address = {"x-forwarded-for": uuid4().hex}
    set_hitl(settings, GUESTS=True, RATE_GUESTS_ADDRESS="3/hour", PROXIES=1)
    guests = [f"guest-{uuid4()}" for _ in range(6)]
    unknown = f"/executions/{uuid4()}"
    answers = [
        await AsyncClient().get(unknown, {"session": guest}, headers=address) for guest in guests
    ]
    assert [answer.status_code for answer in answers] == [404, 404, 404, 429, 429, 429]
    assert 1100 < int(answers[-1]["Retry-After"]) <= 1200
    assert answers[-1].json()["detail"] == "Too many new guests. Try again in 20 minutes."
    assert await User.objects.acount() == 3
    response = await AsyncClient().get(unknown, {"session": guests[0]}, headers=address)
    assert response.status_code == 404
    async with LocalSocket(AnonymousUser(), headers=address, session=guests[-1]) as socket:
        assert await socket.until_closed() == 4429


async def test_a_socket_beyond_the_limit_is_told_when_to_come_back(
    settings: Settings, user: User
) -> None:
    set_hitl(settings, SOCKETS_PER_USER=2, SOCKETS_PER_ADDRESS=3, PROXIES=1)
    address = {"x-forwarded-for": uuid4().hex}
    ben = await User.objects.acreate(username="ben")

    async def refused(visitor: User) -> None:
        async with LocalSocket(visitor, headers=address) as socket:
            assert await socket.until_closed() == 4429
            [error] = socket.of_type("error_message")
            assert error["details"]["retry_after"] == 5
            assert error["content"]["message"] == "Too many sockets at once. Try again in 5 s."

    async with AsyncExitStack() as stack:
        for visitor in (user, user):
            socket = await stack.enter_async_context(LocalSocket(visitor, headers=address))
            await socket.until_settled()
        await refused(user)
        await (await stack.enter_async_context(LocalSocket(ben, headers=address))).until_settled()
        await refused(await User.objects.acreate(username="cara"))  # from the address
        await socket.until_settled()


async def test_a_closed_socket_frees_the_place_of_its_address(
    settings: Settings, user: User
) -> None:
    set_hitl(settings, SOCKETS_PER_ADDRESS=1, SOCKETS_PER_USER=1, PROXIES=1)
    address = {"x-forwarded-for": uuid4().hex}
    gc.disable()  # what is forgotten would be given back with its garbage, some time
    try:
        for _ in range(2):
            async with LocalSocket(user, headers=address) as socket:
                await socket.send({"type": "ping_message"})
                await socket.until("pong_message")
                async with LocalSocket(user, headers=address) as another:
                    assert await another.until_closed() == 4429
            async with LocalSocket(AnonymousUser(), headers=address) as stranger:
                await stranger.send({"type": "ping_message"})
                assert await stranger.until_closed() == 4401
    finally:
        gc.enable()


async def test_claims_are_limited_at_every_door(
    settings: Settings, user: User, page: AsyncClient
) -> None:
    set_hitl(settings, RATE_CLAIMS_USER="2/hour")
    prompt = str(uuid4())  # none of theirs, which has to be looked up all the same
    claim = {"change": "claim"}
    async with LocalSocket(user, conversation_id="c") as socket:
        await socket.send({"type": "claim_message", "interaction_id": prompt, **claim})
        assert (await socket.until("ack_message"))["outcome"] == "not_found"
        over_http = f"/v1/prompts/{prompt}/claim"
        json = "application/json"
        assert (await page.post(over_http, claim, content_type=json)).status_code == 404
        assert (await page.post(over_http, claim, content_type=json)).status_code == 429
        await socket.send({"type": "claim_message", "interaction_id": prompt, **claim})
        error = await socket.until("error_message")
        assert "Too many changes of claims." in error["content"]["message"]
    answer = await page.post(reverse("chat:claim", args=[prompt]), claim, follow=True)
    assert "Too many changes of claims." in answer.content.decode()

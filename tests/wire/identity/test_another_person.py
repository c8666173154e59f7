"""A socket belongs to the person for whom its page was made, whoever has signed in since."""

from typing import Any

import pytest
from django.contrib.auth.models import User

from sessions_app.models import Run
from tests.wire.identity.tokens import token
from tests.wire.local_socket import LocalSocket

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("_writer")]


@pytest.fixture
async def ben(ann: User) -> User:
    return await User.objects.acreate(username="ben")


@pytest.mark.parametrize("extended", ["true", None], ids=["extended", "plain"])
async def test_nothing_of_the_page_of_another_is_taken(
    ann: User, ben: User, extended: str | None
) -> None:
    query: Any = {"for": str(ann.pk), "extended": extended, "conversation_id": "c"}
    async with LocalSocket(ben, **query) as socket:
        await socket.say("salary of ann: 4711", id="m")
        assert await socket.until_closed() == 4401
    [refusal] = socket.frames
    assert refusal["content"]["code"] == "user_auth_error"
    if extended:
        assert refusal["details"] == {"signed_in_as": "ben"}
    assert not await Run.objects.aexists()


@pytest.mark.usefixtures("tokens")
async def test_a_first_message_makes_nobody_else_of_a_page(ann: User, ben: User) -> None:
    payload = {"method": "jwt", "token": token(sub="ann")}
    query: Any = {"for": str(ben.pk)}
    async with LocalSocket(None, **query) as socket:
        await socket.send({"type": "auth_message", "id": "a", "payload": payload})
        assert await socket.until_closed() == 4401
    assert [frame["type"] for frame in socket.frames] == ["error_message"]


@pytest.mark.parametrize("named", [True, False])
async def test_who_is_the_person_of_the_page_or_names_nobody_is_served(
    ann: User, named: bool
) -> None:
    query: Any = {"for": str(ann.pk)} if named else {}
    async with LocalSocket(ann, **query) as socket:
        await socket.until_settled()
    assert [frame["type"] for frame in socket.frames] == ["pong_message"]
